/** The page is for everybody: axe finds nothing on any page, and all that a mouse can do, the keyboard can. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { freePort } from '../free-port.ts'
import { chromiumPath, startBrowser, Visitor, type VisitorOptions } from './browser.ts'
import { Daemon } from './daemon.ts'
import { patience } from './patience.ts'
import { Service } from './service.ts'

const pages = [
  'rules',
  'rules/web',
  'rules/web/edit',
  'new',
  'traffic',
  'doctor',
  'machine/ip',
  'machine/ports',
  'machine/router',
  'machine/firewall',
  'machine/guests',
]

describeWith({ files: [chromiumPath] }, 'the page', () => {
  let browser: Browser
  let daemon: Daemon
  let service: Service

  beforeAll(async () => {
    await built()
    service = await Service.start('hello')
    const [open, silent] = [await freePort(), await freePort()]
    daemon = await Daemon.start({
      file:
        `rules:\n  web: { listen: '127.0.0.1:${open}', target: ${service.port}, allow: [127.0.0.0/8, 10.0.0.0/8], until: 2036-01-01T00:00:00Z }\n` +
        `  broken: { listen: '127.0.0.1:${silent}', target: 1, publish: { firewall: auto } }\n` +
        `  off: { listen: 127.0.0.1:9, target: 10.0.0.1:9, enabled: false }\n`,
    })
    browser = await startBrowser()
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    await daemon?.[Symbol.asyncDispose]()
    await service?.[Symbol.asyncDispose]()
  })

  const looks: VisitorOptions[] = [
    { language: 'en', theme: 'light', screen: 'phone' },
    { language: 'ko', theme: 'dark', screen: 'desktop' },
  ]

  it.each(looks)(
    'has nothing that axe finds, nor anything wider than the screen: $language, $theme, $screen',
    { timeout: 10 * patience },
    async (look) => {
      // There may be no router here, which is told as it is.
      await using visitor = await Visitor.open(browser, daemon.loginUrl, { ...look, expected: [/machine/] })
      const { page } = visitor
      for (const where of pages) {
        await visitor.goTo(where)
        // What is still asked for is looked at once it is there.
        await expect.poll(() => page.locator('[aria-busy="true"]').count(), { timeout: patience }).toBe(0)
        expect([where, await visitor.accessibility()]).toEqual([where, []])
        const [wide, screen] = await page.evaluate<[number, number]>(
          '[document.documentElement.scrollWidth, innerWidth]',
        )
        expect([where, wide <= screen]).toEqual([where, true])
      }
      await page.locator('header button[aria-expanded]').click()
      expect(await visitor.accessibility()).toEqual([])
      expect(await page.locator('html').getAttribute('lang')).toBe(look.language)
    },
  )

  it('lets a rule be added, switched off and deleted by the keyboard alone', async () => {
    await using visitor = await Visitor.open(browser, daemon.loginUrl)
    const { page } = visitor
    await page.locator('[data-rule="web"]').waitFor()
    const press = (...keys: string[]): Promise<void> =>
      keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve())
    /** Tab until it has the focus, as a person does. */
    const reach = async (name: string): Promise<void> => {
      for (let tries = 0; tries < 60; tries++) {
        await press('Tab')
        if ((await nameOfFocus(page)).startsWith(name)) return
      }
      throw new Error(`the keyboard does not reach ${name}`)
    }
    await press('Tab')
    expect(await nameOfFocus(page)).toBe('Skip to content')
    await press('Enter')
    await reach('Add rule')
    await press('Enter')
    await page.getByRole('heading', { name: 'Add a rule' }).waitFor()
    await reach('Service name')
    await page.keyboard.type('keys')
    await reach('External port')
    const port = await freePort()
    await page.keyboard.type(String(port))
    await reach('TCP')
    await press('ArrowRight', 'ArrowLeft')
    await reach('Internal port')
    await page.keyboard.type(String(service.port))
    await press('Enter')
    await page.getByRole('heading', { name: 'keys' }).waitFor()
    await page.locator('.badge', { hasText: 'Open' }).waitFor()
    await reach('keys is on')
    await press('Space')
    await page.locator('.badge', { hasText: 'Off' }).waitFor()
    await reach('Delete')
    await press('Enter')
    await page.getByRole('heading', { name: 'Port forwarding' }).waitFor()
    await reach('Undo')
    await press('Enter')
    await page.locator('[data-rule="keys"]').waitFor()
  })

  it('speaks the other language and takes the other theme at once, and remembers', async () => {
    await using visitor = await Visitor.open(browser, daemon.loginUrl)
    const { page } = visitor
    await page.getByRole('button', { name: 'Settings' }).click()
    await page.getByRole('radio', { name: '한국어' }).check()
    await page.getByRole('heading', { name: '포트 포워딩' }).waitFor()
    await page.getByRole('radio', { name: '어둡게' }).check()
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark')
    await page.reload()
    await page.getByRole('heading', { name: '포트 포워딩' }).waitFor()
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark')
  })
})

/** What a screen reader would call it, nearly. */
function nameOfFocus(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    const focus = document.activeElement
    const label = focus.getAttribute('aria-label') ?? focus.labels?.[0]?.textContent ?? focus.textContent
    return label.trim()
  })()`)
}
