/**
 * Debian's Chromium, one a test file, and its visitors: each in a profile of its own, with its language, theme and
 * size. A visitor notes every error of the page and every request that failed or went to another host, and its end
 * fails where there was one.
 */
import axe, { type AxeResults } from 'axe-core'
import {
  chromium,
  type Browser,
  type ConsoleMessage,
  type Page,
  type Request,
  type Response,
} from 'playwright-core'
import { patience } from './patience.ts'

export const chromiumPath = '/usr/bin/chromium'

/** @param executable Chromium, or what starts it elsewhere */
export function startBrowser(
  executable: string = chromiumPath,
  args: readonly string[] = [],
): Promise<Browser> {
  return chromium.launch({
    executablePath: executable,
    // Root has no sandbox; nothing but our own page is ever opened.
    args: ['--no-sandbox', '--disable-dev-shm-usage', ...args],
    timeout: 2 * patience,
  })
}

export interface VisitorOptions {
  /** @default 'en' */
  readonly language?: 'en' | 'ko'
  /** @default 'light' */
  readonly theme?: 'light' | 'dark'
  /** @default 'desktop' */
  readonly screen?: keyof typeof screens
  /** Complaints that belong to the story, such as a refused connection while the daemon is away. */
  readonly expected?: readonly RegExp[]
}

export const screens = {
  desktop: { width: 1280, height: 900 },
  tablet: { width: 820, height: 1180 },
  phone: { width: 390, height: 844 },
  smallPhone: { width: 360, height: 740 },
} as const

/** WCAG 2.2 AA, and what axe calls best practice. */
const standards = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

export class Visitor implements AsyncDisposable {
  readonly page: Page
  readonly #origin: string
  readonly #expected: readonly RegExp[]
  readonly #complaints: string[] = []

  private constructor(page: Page, origin: string, expected: readonly RegExp[]) {
    this.page = page
    this.#origin = origin
    this.#expected = expected
  }

  /** Opens `url`, which may be a log-in link. */
  static async open(browser: Browser, url: string, options: VisitorOptions = {}): Promise<Visitor> {
    const { language = 'en', theme = 'light', screen = 'desktop', expected = [] } = options
    const context = await browser.newContext({
      locale: language === 'ko' ? 'ko-KR' : 'en-GB',
      colorScheme: theme,
      viewport: screens[screen],
      // What moves is never quite there yet.
      reducedMotion: 'reduce',
    })
    context.setDefaultTimeout(patience)
    const page = await context.newPage()
    const visitor = new Visitor(page, new URL(url).origin, expected)
    visitor.#watch()
    await page.goto(url)
    return visitor
  }

  /** What nobody expected so far. */
  get complaints(): readonly string[] {
    return this.#complaints.filter((text) => !this.#expected.some((pattern) => pattern.test(text)))
  }

  /** Goes to a page by its name after `#/`, and waits for its heading. */
  async goTo(place: string): Promise<void> {
    await this.page.evaluate(`location.hash = ${JSON.stringify(`#/${place}`)}`)
    await this.page.getByRole('heading', { level: 1 }).first().waitFor()
  }

  /** What axe finds wrong, a line each. */
  async accessibility(): Promise<string[]> {
    await this.page.evaluate(axe.source)
    const { violations } = await this.page.evaluate<AxeResults>(
      `axe.run(document, ${JSON.stringify({ runOnly: { type: 'tag', values: standards }, resultTypes: ['violations'] })})`,
    )
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary ?? ''}`),
    )
  }

  /** @throws where the page complained */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close()
    if (this.complaints.length > 0) throw new Error(`the page complained:\n${this.complaints.join('\n')}`)
  }

  #watch(): void {
    const note = (text: string): void => void this.#complaints.push(text)
    this.page
      .on('pageerror', (error) => note(`error: ${error.stack ?? error.message}`))
      .on('console', (message: ConsoleMessage) => {
        // Answers that are no success are noted below, with what was asked.
        const isAnswer = message.text().startsWith('Failed to load resource')
        if (['error', 'warning'].includes(message.type()) && !isAnswer) note(`console: ${message.text()}`)
      })
      .on('request', (request: Request) => {
        const { protocol, origin } = new URL(request.url())
        if (protocol !== 'data:' && protocol !== 'blob:' && origin !== this.#origin)
          note(`foreign: ${request.method()} ${request.url()}`)
      })
      .on('requestfailed', (request: Request) => {
        const why = request.failure()?.errorText ?? ''
        // Left by the page itself, such as the events of a page that is closed.
        // The browser asks for the icon when it likes, also while a test has cut the line; a missing one is noted below.
        const isCut = why.startsWith('net::ERR_CONNECTION') || why === 'net::ERR_EMPTY_RESPONSE'
        const isIcon = isCut && request.url().endsWith('/naru.svg')
        // An interface of the lab came or went: the browser ends what was under way, and what the page needs it asks again.
        const isMoved = why === 'net::ERR_NETWORK_CHANGED'
        if (why !== 'net::ERR_ABORTED' && !isIcon && !isMoved)
          note(`failed: ${request.method()} ${request.url()}: ${why}`)
      })
      .on('response', (response: Response) => {
        if (response.status() >= 400)
          note(`answer: ${response.request().method()} ${response.url()}: ${response.status()}`)
      })
  }
}
