/** Who gets in: the link and its token, the link to look only, and nobody from another site or under another name. */
import { createServer, request } from 'node:http'
import { gzipSync } from 'node:zlib'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { NaruError } from '../../src/base/errors.ts'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'
import { chromiumPath, startBrowser, Visitor } from './browser.ts'
import { Daemon } from './daemon.ts'
import { patience } from './patience.ts'
import { Service } from './service.ts'

const rule = { listen: '127.0.0.1:1234', target: 5678 }

describeWith({ files: [chromiumPath] }, 'the door of the web page', () => {
  let browser: Browser
  let daemon: Daemon

  beforeAll(async () => {
    await built()
    daemon = await Daemon.start({
      file: `rules:\n  web:\n    listen: 127.0.0.1:${await freePort()}\n    target: ${await freePort()}\n`,
    })
    browser = await startBrowser()
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    await daemon?.[Symbol.asyncDispose]()
  })

  it('opens by the link, keeps the token out of the address bar, and remembers', async () => {
    await using visitor = await Visitor.open(browser, daemon.loginUrl)
    const { page } = visitor
    await page.locator('tbody[data-rule="web"]').waitFor()
    expect(page.url()).not.toContain('token')
    await page.goto(daemon.url)
    await page.locator('tbody[data-rule="web"]').waitFor()
    // A cookie would go to every port of this address.
    expect(await page.context().cookies()).toEqual([])
    const kept = await page.evaluate<string | null>(`localStorage.getItem('naru.session')`)
    expect(kept).toMatch(/^[\w-]{43}$/)
  })

  it('logs in, also where the page is loaded anew before it heard the answer', async () => {
    await using visitor = await Visitor.open(browser, daemon.url, { expected: [/\/api\/session: 401/] })
    const { page } = visitor
    // The first log-in is never answered.
    await page.route('**/api/session', () => {})
    const asked = page.waitForRequest('**/api/session')
    await page.goto(daemon.loginUrl)
    await asked
    await page.unroute('**/api/session')
    await page.reload()
    await page.locator('tbody[data-rule="web"]').waitFor()
    expect(page.url()).not.toContain('token')
  })

  it('is of no use to whoever holds its port while it is away', async () => {
    await using away = await Daemon.start({ file: 'rules: {}\n' })
    await using visitor = await Visitor.open(browser, away.loginUrl, {
      expected: [/^failed: .*\/api\//, /^console: /, /: (401|503)$/],
    })
    const { page } = visitor
    const live = page.locator('.link-state[data-state="live"]')
    await live.waitFor()
    await away.stop()
    const heard: string[] = []
    const impostor = createServer((asked, answer) => {
      heard.push(asked.headers.authorization ?? '')
      answer.writeHead(503).end('{}')
    })
    impostor.listen(Number(new URL(away.url).port), '127.0.0.1')
    await expect.poll(() => heard.length, { timeout: patience }).toBeGreaterThan(1)
    impostor.closeAllConnections()
    await new Promise((closed) => impostor.close(closed))
    await away.start()
    // The page is let in again, having shown that it is the one of before; what the impostor heard is worth nothing.
    await live.waitFor()
    const [stolen = ''] = heard
    expect(stolen).toMatch(/^Bearer [\w-]{43}$/)
    expect((await fetch(`${away.url}/api/rules`, { headers: { authorization: stolen } })).status).toBe(401)
    expect(await page.evaluate<string>(`localStorage.getItem('naru.session')`)).not.toBe(stolen.slice(7))
  })

  it('shows an impostor nothing by which he comes in', async () => {
    await using away = await Daemon.start({ file: 'rules: {}\n' })
    const expected = [/^failed: .*\/api\//, /^console: /, /: 40[01]$/]
    await using visitor = await Visitor.open(browser, away.loginUrl, { expected })
    const { page } = visitor
    await page.locator('.link-state[data-state="live"]').waitFor()
    await away.stop()
    const told: string[] = []
    const impostor = createServer((asked, answer) => {
      let body = ''
      asked.on('data', (text) => (body += String(text)))
      asked.on('end', () => {
        told.push(`${asked.url} ${body}`)
        const isReturn = asked.url === '/api/session/return'
        const offer = {
          at: new URL(away.url).host,
          naruNonce: 'n',
          proof: Buffer.alloc(32).toString('base64'),
        }
        answer.writeHead(isReturn ? 200 : 401, { 'content-type': 'application/json' })
        answer.end(JSON.stringify(isReturn ? offer : new NaruError('API_NO_TOKEN', {}).toJSON()))
      })
    })
    impostor.listen(Number(new URL(away.url).port), '127.0.0.1')
    await page.getByLabel('Token').waitFor()
    impostor.closeAllConnections()
    await new Promise((closed) => impostor.close(closed))
    const shown = told.filter((text) => text.startsWith('/api/session/return'))
    expect(shown.length).toBe(1)
    expect(shown[0]).toMatch(/^\S+ \{"access":"full","pageNonce":"[^"]+"\}$/)
  })

  it('shows nothing without a token, refuses a wrong one, takes the right one, and logs out', async () => {
    const expected = [/\/api\/\w+: 401/, /\/\?token=wrong: 401/]
    await using visitor = await Visitor.open(browser, `${daemon.url}/?token=wrong`, { expected })
    const { page } = visitor
    await page.getByText('That token is not the right one').waitFor()
    expect(await page.locator('body').innerText()).not.toContain('web')
    await page.getByLabel('Token').fill('still-wrong')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByText('That token is not the right one').waitFor()
    await page.getByLabel('Token').fill(daemon.loginUrl)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.locator('tbody[data-rule="web"]').waitFor()
    await page.getByRole('button', { name: 'Settings' }).click()
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByLabel('Token').waitFor()
    expect(await statusInPage(page, 'GET', '/api/rules')).toBe(401)
  })

  it('lets the read-only link look, and nothing more', async () => {
    const expected = [/: 403$/]
    await using visitor = await Visitor.open(browser, daemon.readOnlyUrl, { expected })
    const { page } = visitor
    const row = page.locator('tbody[data-rule="web"]')
    await row.waitFor()
    await page.getByText('Read-only').waitFor()
    expect(await row.getByRole('switch').isDisabled()).toBe(true)
    for (const place of ['rules', 'rules/web', 'rules/web/edit', 'new']) {
      await visitor.goTo(place)
      const changes = page.getByRole('button', { name: /^(Delete|Edit|Save|Open it|Undo)/ })
      expect(await changes.count()).toBe(0)
      expect(await page.getByRole('link', { name: /^(Add|Edit)/ }).count()).toBe(0)
      expect(await page.getByRole('switch', { disabled: false }).count()).toBe(0)
    }
    const before = await daemon.file()
    const tries = [
      ['POST', '/api/rules', { name: 'mine', rule }],
      ['PATCH', '/api/rules/web', { listen: 4321 }],
      ['DELETE', '/api/rules/web'],
      ['POST', '/api/rules/web/disable'],
      ['POST', '/api/stop'],
      ['POST', '/api/reload'],
    ] as const
    for (const [method, path, body] of tries)
      expect([path, await statusInPage(page, method, path, body)]).toEqual([path, 403])
    expect(await daemon.file()).toBe(before)
  })

  it('is closed to the page of another site, logged in or not', async () => {
    await using elsewhere = await Service.start('<!doctype html><title>evil</title><p>evil</p>')
    await using visitor = await Visitor.open(browser, daemon.loginUrl, {
      expected: [/^foreign: /, /^console: .*CORS/, /: 403$/, /favicon/, /^failed: /],
    })
    const { page } = visitor
    await page.getByRole('link', { name: 'Add rule' }).waitFor()
    const before = await daemon.file()
    // Another port of the same host is the same site, and another origin.
    for (const host of ['127.0.0.1', 'localhost']) {
      await page.goto(`http://${host}:${elsewhere.port}/`)
      expect(await statusInPage(page, 'GET', `${daemon.url}/api/rules`)).toBe('refused')
      expect(await statusInPage(page, 'POST', `${daemon.url}/api/rules`, { name: 'evil', rule })).toBe(
        'refused',
      )
      // What needs no leave of CORS.
      await page.evaluate(
        `fetch(${JSON.stringify(`${daemon.url}/api/rules`)}, { method: 'POST', mode: 'no-cors', credentials: 'include', body: ${JSON.stringify(JSON.stringify({ name: 'evil', rule }))} }).catch(() => {})`,
      )
    }
    expect(await daemon.file()).toBe(before)
    await page.goto(daemon.url)
    await page.getByRole('link', { name: 'Add rule' }).waitFor()
  })

  it('is closed to a name that was rebound to this machine', async () => {
    const token = new URL(daemon.loginUrl).searchParams.get('token')
    const rebound = { host: `evil.example:${new URL(daemon.url).port}` }
    expect(await statusOf(daemon.url, '/', rebound)).toBe(403)
    expect(await statusOf(daemon.url, '/api/rules', { ...rebound, authorization: `Bearer ${token}` })).toBe(
      403,
    )
    expect(await statusOf(daemon.url, '/api/rules', { authorization: `Bearer ${token}` })).toBe(200)
    expect(await statusOf(daemon.url, '/api/rules', {})).toBe(401)
    expect(await statusOf(daemon.url, '/api/rules', { authorization: 'Bearer wrong' })).toBe(401)
    // A browser whose DNS was rebound: Chromium is told that the name is this machine.
    const other = await startBrowser(chromiumPath, ['--host-resolver-rules=MAP evil.example 127.0.0.1'])
    try {
      const page = await other.newPage()
      const answer = await page.goto(`http://${rebound.host}/`)
      expect(answer?.status()).toBe(403)
    } finally {
      await other.close()
    }
  })

  it('weighs 200 kB of JavaScript at most, gzipped, and paints at once', async () => {
    const folder = join(import.meta.dirname, '../../web/dist/assets')
    const scripts = (await readdir(folder)).filter((name) => name.endsWith('.js'))
    const sizes = await Promise.all(
      scripts.map(async (name) => gzipSync(await readFile(join(folder, name))).length),
    )
    const total = sizes.reduce((sum, size) => sum + size, 0)
    expect(total).toBeGreaterThan(10_000)
    expect(total).toBeLessThanOrEqual(200_000)

    await using visitor = await Visitor.open(browser, daemon.loginUrl)
    await visitor.page.locator('tbody[data-rule="web"]').waitFor()
    const paint = (): Promise<number> =>
      visitor.page.evaluate<number>(
        `Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1)`,
      )
    await expect.poll(paint, { timeout: patience }).toBeGreaterThan(0)
    process.stderr.write(`${total} bytes of JavaScript gzipped, first paint after ${await paint()} ms\n`)
  })
})

/** Asked by the page's own script, with what its origin keeps. */
function statusInPage(page: Page, method: string, url: string, body?: object): Promise<number | 'refused'> {
  const options = {
    method,
    credentials: 'include',
    ...(body && { body: JSON.stringify(body) }),
  }
  return page.evaluate<number | 'refused'>(
    `fetch(${JSON.stringify(url)}, {
      ...${JSON.stringify(options)},
      headers: {
        'content-type': 'application/json',
        authorization: 'Bearer ' + localStorage.getItem('naru.session'),
      },
    }).then(({ status }) => status, () => 'refused')`,
  )
}

/** `fetch` would not let a Host header be chosen. */
function statusOf(url: string, path: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(url + path, { headers: { connection: 'close', ...headers } }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode))
    })
    asked.once('error', reject)
    asked.end()
  })
}
