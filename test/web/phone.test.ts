/**
 * The test by phone, end to end: the code is read off the screen as a camera does, its link is opened from the
 * internet, and page and terminal say what arrived.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import { built } from '../built.ts'
import { end } from '../lab/namespaces.ts'
import { homeAddresses } from '../lab/router.ts'
import { describeWith } from '../needs.ts'
import { dotsOfPng, dotsOfTerminal, readQr } from '../qr-reader.ts'
import { startBrowser, Visitor } from './browser.ts'
import { homeNeeds, starter, WebHome } from './home.ts'
import { patience } from './patience.ts'

const link = `http://${homeAddresses.wan}:8888/`
const file = `rules:
  web: { listen: 8888, target: 80, publish: { firewall: auto, router: auto } }
`

describeWith(homeNeeds, 'the test from a phone', () => {
  const scope = new Scope()
  let place: WebHome
  /** On the internet, as the phone's is. */
  let phone: Browser

  beforeAll(async () => {
    await built()
    place = scope.use(await WebHome.build(file))
    await place.startService()
    const through = ['ip', 'netns', 'exec', place.home.internet.namespace]
    phone = await startBrowser(await starter(through, scope))
    scope.defer(() => phone.close())
    await vi.waitFor(() => expect(place.fromInternet(8888)).toBe('hello from the guest'), {
      timeout: patience,
    })
  }, 180_000)
  afterAll(() => scope[Symbol.asyncDispose]())

  /** What the page shows when it waits for the phone: the code, read off the screen. */
  async function codeOf({ page }: Visitor): Promise<string> {
    const box = page.locator('section', { hasText: 'Try it from a phone' })
    await box.getByLabel(/internet/i).uncheck()
    await box.getByRole('button', { name: 'Show the code' }).click()
    const code = page.getByRole('img', { name: 'QR code of the link' })
    await code.waitFor()
    // As it stands on the screen: nobody scrolls to it.
    const clip = await code.boundingBox()
    const dots = dotsOfPng(await page.screenshot(clip ? { clip } : {}))
    // What lies around it shines through at its very edge.
    const read = readQr(dots.slice(2, -2).map((row) => row.slice(2, -2)))
    expect(await box.getByRole('link').getAttribute('href')).toBe(read)
    return read
  }

  it.each(['light', 'dark'] as const)(
    'shows a code whose link leads from the internet to the service, and says so (%s)',
    { timeout: 4 * patience },
    async (theme) => {
      const screen = theme === 'dark' ? 'phone' : 'desktop'
      await using visitor = await Visitor.open(place.browser, place.daemon.loginUrl, { theme, screen })
      await visitor.goTo('doctor')
      const read = await codeOf(visitor)
      expect(read).toBe(link)
      if (theme === 'light') expect(place.fromInternet(8888)).toBe('hello from the guest')
      else expect(await seenByPhone(read)).toBe('hello from the guest')
      await visitor.page.getByText('It arrived: the way from outside is open.').waitFor()
    },
  )

  it('says that packets came and were dropped, and who dropped them', { timeout: 4 * patience }, async () => {
    const chain = ['inet', 'filter', 'input']
    const drop = ['tcp', 'dport', '8888', 'ct', 'state', 'new', 'drop']
    await using visitor = await Visitor.open(place.browser, place.daemon.loginUrl)
    await visitor.goTo('doctor')
    place.firewall.run(['nft', 'insert', 'rule', ...chain, ...drop])
    try {
      const read = await codeOf(visitor)
      place.home.internet.start(['curl', '-s', '-m', '8', read])
      await visitor.page.getByText(/packets? reached this machine/).waitFor()
      await visitor.page.locator('.verdict').waitFor()
      expect(await visitor.page.locator('.verdict').innerText()).toMatch(/firewall/i)
    } finally {
      const listed = place.firewall.run(['nft', '-a', 'list', 'chain', ...chain])
      const handle = /dport 8888 ct state new drop # handle (\d+)/.exec(listed)?.[1]
      place.firewall.run(['nft', 'delete', 'rule', ...chain, 'handle', String(handle)])
    }
  })

  it('draws the code in a terminal, and says there what arrived', { timeout: 4 * patience }, async () => {
    const { said, ended } = follow('doctor', 'web', '--from-phone', '--lang', 'en')
    const read = await codeIn(said)
    expect(read).toBe(link)
    expect(await seenByPhone(read)).toBe('hello from the guest')
    expect(await ended).toBe(0)
    expect(said()).toContain(`phone ${homeAddresses.internet} → ${homeAddresses.wan}:8888: it came through`)
  })

  it('greets the phone itself on a port that nobody serves yet', { timeout: 4 * patience }, async () => {
    place.firewall.run(['nft', 'insert', 'rule', 'inet', 'filter', 'input', 'tcp', 'dport', '9999', 'accept'])
    expect(await follow('router', 'add', '9999').ended).toBe(0)
    const { child, said } = follow('doctor', '9999', '--from-phone', '--lang', 'en')
    const read = await codeIn(said)
    expect(read).toMatch(/^http:\/\/11\.0\.0\.2:9999\/[\w-]+$/)
    expect(await seenByPhone(read)).toContain('It works: you have reached the other side.')
    const told = `phone ${homeAddresses.internet} → ${homeAddresses.wan}:9999: it came through`
    await vi.waitFor(() => expect(said()).toContain(told), { timeout: patience })
    await end(child)
  })

  async function seenByPhone(url: string): Promise<string> {
    const page = await phone.newPage()
    try {
      await page.goto(url, { timeout: patience })
      return await page.locator('body').innerText()
    } finally {
      await page.close()
    }
  }

  /** A verb on the host: all that it says, and how it ends. */
  function follow(...words: readonly string[]): {
    child: ChildProcess
    said: () => string
    ended: Promise<number | null>
  } {
    const child = place.daemon.command(...words)
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (some: string) => (text += some))
    return { child, said: () => text, ended: once(child, 'close').then(([code]) => code as number | null) }
  }
})

/** The lines of blocks, once they are all there. */
async function codeIn(said: () => string): Promise<string> {
  return vi.waitFor(
    () => {
      const lines = said()
        .split('\n')
        .filter((line) => /^[█▀▄ ]{25,}$/.test(line))
      if (lines.length * 2 < (lines[0]?.length ?? Infinity)) throw new Error(`no whole code: ${said()}`)
      return readQr(dotsOfTerminal(lines.join('\n')))
    },
    { timeout: patience },
  )
}
