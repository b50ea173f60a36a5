/** The page tells what happens while one looks on: connections, a daemon that goes and comes back, another's edit. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { freePort } from '../free-port.ts'
import { chromiumPath, startBrowser, Visitor } from './browser.ts'
import { Daemon } from './daemon.ts'
import { patience } from './patience.ts'

describeWith({ files: [chromiumPath] }, 'the page follows', () => {
  let browser: Browser
  let daemon: Daemon
  let silent: Server
  let port: number

  beforeAll(async () => {
    await built()
    silent = createServer((socket) => void socket.on('error', () => {}).resume()).listen(0, '127.0.0.1', 1024)
    await once(silent, 'listening')
    port = await freePort()
    const target = (silent.address() as AddressInfo).port
    daemon = await Daemon.start({
      file: `rules:\n  many: { listen: '127.0.0.1:${port}', target: ${target} }\n`,
    })
    browser = await startBrowser()
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    await daemon?.[Symbol.asyncDispose]()
    silent?.close()
  })

  it('connections as they come and go, and one is cut by hand', { timeout: 10 * patience }, async () => {
    await using visitor = await Visitor.open(browser, daemon.loginUrl)
    const { page } = visitor
    await page.getByRole('link', { name: 'Traffic' }).click()
    const clients = await connectMany(port, 500)
    await page.getByText('500 open').waitFor()
    await page.getByRole('radio', { name: 'Open', exact: true }).check()
    expect(await page.locator('[data-connection]').count()).toBeLessThan(60)

    const first = page.locator('[data-connection]').first()
    const gone = (await first.locator('th').textContent())?.split(' ')[0] ?? ''
    await page.getByRole('button', { name: `Cut the connection of ${gone}` }).click()
    await page.getByText('499 open').waitFor()
    await page.getByRole('radio', { name: 'Closed', exact: true }).check()
    await page.locator('[data-connection]', { hasText: 'cut by hand' }).waitFor()
    for (const client of clients) client.destroy()
    await page.getByText(/^0 open/).waitFor()
    await page.reload()
    await page.getByRole('img', { name: /Open connections/ }).waitFor()
  })

  it(
    'a daemon that goes, says so, and is right again when it is back',
    { timeout: 10 * patience },
    async () => {
      await using visitor = await Visitor.open(browser, daemon.loginUrl, {
        // What one Naru let in the next one does not; the page shows it who comes back.
        expected: [/^failed: .*\/api\//, /^console: /, /\/api\/events: 401$/],
      })
      const { page } = visitor
      const row = page.locator('[data-rule="many"]')
      await row.locator('.badge', { hasText: 'Open' }).waitFor()
      const lost = page.locator('.banner', { hasText: 'Connection lost, reconnecting' })
      for (const go of [() => daemon.stop(), () => daemon.kill()]) {
        await go()
        await lost.waitFor()
        await row.waitFor()
        await daemon.start()
        await lost.waitFor({ state: 'detached' })
        await row.locator('.badge', { hasText: 'Open' }).waitFor()
      }
      await daemon.stop()
      await lost.waitFor()
      await daemon.rewrite((text) => text.replace('many:', 'other:'))
      await daemon.start()
      await page.locator('[data-rule="other"]').waitFor()
      await row.waitFor({ state: 'detached' })
    },
  )

  it('what someone else does to the rule one is editing', async () => {
    await using one = await Visitor.open(browser, daemon.loginUrl)
    await using other = await Visitor.open(browser, daemon.loginUrl)
    for (const { page } of [one, other]) {
      await page.locator('[data-rule="other"]').getByRole('link', { name: 'Edit other' }).click()
      await page.getByLabel('Source (allow-list)').waitFor()
    }
    await one.page.getByLabel('Source (allow-list)').fill('127.0.0.0/8')
    await other.page.getByLabel('Source (allow-list)').fill('10.0.0.0/8')
    await one.page.getByRole('button', { name: 'Save' }).click()
    await one.page.getByRole('heading', { name: 'other', exact: true }).waitFor()
    const told = other.page.getByRole('alert').filter({ hasText: 'Someone else changed this rule' })
    await told.waitFor()
    await other.page.getByRole('button', { name: 'Save' }).click()
    expect(await daemon.file()).toContain('127.0.0.0/8')
    expect(await daemon.file()).not.toContain('10.0.0.0/8')
    await told.getByRole('button', { name: 'Keep mine' }).click()
    await other.page.getByRole('button', { name: 'Save' }).click()
    await other.page.getByRole('heading', { name: 'other', exact: true }).waitFor()
    await expect.poll(() => daemon.file()).toContain('10.0.0.0/8')
    expect(await daemon.file()).not.toContain('127.0.0.0/8')
  })

  it('what someone else does in the very moment of saving', async () => {
    await using visitor = await Visitor.open(browser, daemon.loginUrl, { expected: [/: 409$/] })
    const { page } = visitor
    await page.locator('[data-rule="other"]').getByRole('link', { name: 'Edit other' }).click()
    await page.getByLabel('Source (allow-list)').fill('192.168.0.0/16')
    await page.route(
      '**/api/rules/other',
      async (route) => {
        await daemon.ask('PATCH', '/api/rules/other', { allow: ['172.16.0.0/12'] })
        await route.continue()
      },
      { times: 1 },
    )
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('alert').filter({ hasText: 'Someone else changed this rule' }).waitFor()
    expect(await daemon.file()).not.toContain('192.168.0.0/16')
    await page.getByRole('button', { name: 'Take theirs' }).click()
    expect(await page.getByLabel('Source (allow-list)').inputValue()).toBe('172.16.0.0/12')
  })
})

async function connectMany(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  return sockets
}
