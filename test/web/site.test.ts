/** The documentation as a site (`npm run docs`): every page on a phone, and a search that asks nobody else. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from '../needs.ts'
import { chromiumPath, startBrowser, Visitor } from './browser.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

describeWith({ platform: 'linux', files: [chromiumPath] }, 'the documentation as a site', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-site-'))
  let server: Server
  let browser: Browser
  let origin: string

  beforeAll(async () => {
    const script = join(import.meta.dirname, '../../scripts/docs.mjs')
    // It fails where a link leads nowhere.
    execFileSync(process.execPath, [script, folder], { stdio: ['ignore', 'ignore', 'inherit'] })
    server = createServer((request, response) => {
      const path = new URL(request.url ?? '/', 'http://x').pathname
      try {
        const bytes = readFileSync(join(folder, path))
        response.writeHead(200, { 'content-type': types[extname(path)] ?? 'text/plain' }).end(bytes)
      } catch {
        response.writeHead(404).end()
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await startBrowser()
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    server?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('has no page that is wider than a small phone, or asks another host', async () => {
    const pages = readdirSync(folder, { recursive: true })
      .map(String)
      .filter((path) => path.endsWith('.html') && path !== 'index.html')
    expect(pages.length).toBeGreaterThan(40)
    await using visitor = await Visitor.open(browser, `${origin}/README.html`, { screen: 'smallPhone' })
    const wide: string[] = []
    for (const page of pages) {
      await visitor.page.goto(`${origin}/${page}`)
      const [has, takes] = await visitor.page.evaluate<[number, number]>(
        '[document.documentElement.clientWidth, document.documentElement.scrollWidth]',
      )
      if (takes > has) wide.push(`${page}: ${takes}`)
    }
    expect(wide).toEqual([])
  }, 120_000)

  it.each([
    ['README.html', 'en', 'light'],
    ['README.ko.html', 'ko', 'dark'],
    ['docs/rules.html', 'en', 'dark'],
    ['docs/howto/install.ko.html', 'ko', 'light'],
    ['docs/errors.html', 'en', 'light'],
  ] as const)(
    '%s is for everybody',
    async (page, language, theme) => {
      await using visitor = await Visitor.open(browser, `${origin}/${page}`, { language, theme })
      expect(await visitor.accessibility()).toEqual([])
    },
    60_000,
  )

  it.each([
    ['en', 'README.html', 'perSource limits'],
    ['ko', 'README.ko.html', '자동 시작'],
  ] as const)(
    'finds what somebody looks for (%s)',
    async (language, page, text) => {
      await using visitor = await Visitor.open(browser, `${origin}/${page}`, { language, screen: 'phone' })
      await visitor.page.getByRole('searchbox').fill(text)
      const first = visitor.page.locator('#found a').first()
      await first.waitFor()
      await first.click()
      await visitor.page.waitForURL(/#/)
      const words = text.toLowerCase().split(' ')
      const body = (await visitor.page.locator('main').innerText()).toLowerCase()
      expect(words.filter((word) => !body.includes(word))).toEqual([])
      await visitor.page.getByRole('searchbox').fill('qqqqzzz')
      await visitor.page.locator('#found li').first().waitFor()
      expect(await visitor.page.locator('#found a').count()).toBe(0)
    },
    60_000,
  )
})
