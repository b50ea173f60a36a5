/**
 * Ten thousand connections, every one of them real, through the daemon and in the browser's table: clients and target
 * are hosts of their own, and the kernel carries what no process here has descriptors for.
 */
import { once } from 'node:events'
import { availableParallelism, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import { built } from '../built.ts'
import { hostAddress, KernelLab, targetAddress } from '../lab/kernel-lab.ts'
import type { LabHost } from '../lab/namespaces.ts'
import { describeWith } from '../needs.ts'
import { chromiumPath, startBrowser, Visitor } from './browser.ts'
import { Daemon } from './daemon.ts'
import { starter } from './home.ts'
import { patience } from './patience.ts'

const count = 10_000
const descriptors = 12_000
/** The kernel's list is read the less often the longer it takes: at most a twentieth of the time. */
const long = { timeout: 3 * patience }
const hold = fileURLToPath(new URL('../../bench/load/hold.mjs', import.meta.url))
const greeter = `require('net').createServer((s) => s.on('error', () => {}).write('.')).listen({ port: 80, host: '0.0.0.0', backlog: 1024 }, () => console.log('ready'))`

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'conntrack'],
  files: [chromiumPath],
  descriptors,
} as const

describeWith(needs, 'ten thousand connections in the browser', () => {
  const scope = new Scope()
  let lab: KernelLab
  let daemon: Daemon
  let browser: Browser

  beforeAll(async () => {
    await built()
    lab = scope.use(new KernelLab())
    const through = ['ip', 'netns', 'exec', lab.host.namespace]
    const rule = `{ listen: '0.0.0.0:8888', target: '${targetAddress}:80', engine: kernel }`
    await many(lab.target, ['-e', greeter])
    daemon = scope.use(await Daemon.start({ through, file: `rules:\n  crowd: ${rule}\n` }))
    browser = await startBrowser(await starter(through, scope))
    scope.defer(() => browser.close())
    await many(lab.client, [hold, hostAddress, '8888', String(count)])
  }, 180_000)
  afterAll(() => scope[Symbol.asyncDispose]())

  it(
    'scroll: rows are in sight in every frame, and few frames are late',
    { timeout: 10 * patience },
    async () => {
      await using visitor = await Visitor.open(browser, daemon.loginUrl)
      const { page } = visitor
      await page.getByRole('link', { name: 'Traffic' }).click()
      await page.getByText(`${count} open`).waitFor(long)
      await page.getByRole('radio', { name: 'Open', exact: true }).check()
      expect(await page.locator('[data-connection]').count()).toBeLessThan(60)
      const { frames, slow, empty, worstMs } = await scrolled(page)
      process.stderr.write(
        `${count} connections: ${slow} of ${frames} frames over 50 ms, the worst ${worstMs} ms, ${empty} without rows\n`,
      )
      expect(empty).toBe(0)
      // A machine that has more to do than processors draws late whatever there is to draw.
      const busy = (loadavg()[0] as number) / availableParallelism()
      expect(slow / frames).toBeLessThan(Math.max(0.1, Math.min(0.1 * (1 + busy), 1)))
      expect(await page.locator('[data-connection]').count()).toBeLessThan(60)
      const last = page.locator(`tr[aria-rowindex="${count + 1}"] th`)
      expect(await last.innerText()).toMatch(/^10\.1\.0\.2:\d+/)
    },
  )

  it('sort by any column, and one of them is cut by hand', { timeout: 10 * patience }, async () => {
    await using visitor = await Visitor.open(browser, daemon.loginUrl)
    const { page } = visitor
    await page.getByRole('link', { name: 'Traffic' }).click()
    await page.getByText(`${count} open`).waitFor(long)
    await page.getByRole('button', { name: 'Client' }).click()
    const clients = page.locator('[data-connection] th')
    const seen = (await clients.allInnerTexts()).map((text) => text.split(' ')[0] ?? '')
    expect(seen).toEqual(seen.toSorted())
    await page.getByRole('button', { name: `Cut the connection of ${seen[0]}` }).click()
    await page.getByText(`${count - 1} open`).waitFor(long)
  })

  /** A program of Node on a host, with as many descriptors as it needs, once it says `ready`. */
  async function many(host: LabHost, words: readonly string[]): Promise<void> {
    const limited = ['sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', process.execPath, ...words]
    const child = host.start(limited, { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(child.stdout as NodeJS.ReadableStream, 'data')
  }
})

interface Scrolled {
  readonly frames: number
  /** Over 50 ms after the one before. */
  readonly slow: number
  /** In which no row was in sight. */
  readonly empty: number
  readonly worstMs: number
}

/** From top to bottom in 120 steps of two frames: in the first it is scrolled, in the second the new rows are there. */
const scrolled = (page: Page): Promise<Scrolled> =>
  page.evaluate<Scrolled>(`(async () => {
  const steps = 120
  const box = document.querySelector('.rows')
  const { top, bottom } = box.getBoundingClientRect()
  const far = box.scrollHeight - box.clientHeight
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
  const inSight = () =>
    [...box.querySelectorAll('[data-connection]')].some((row) => {
      const at = row.getBoundingClientRect()
      return at.bottom > top && at.top < bottom
    })
  let [slow, empty, worst] = [0, 0, 0]
  let before = await frame()
  for (let step = 1; step <= steps; step++) {
    box.scrollTop = (far * step) / steps
    for (const now of [await frame(), await frame()]) {
      if (now - before > 50) slow++
      worst = Math.max(worst, now - before)
      before = now
    }
    if (!inSight()) empty++
  }
  return { frames: 2 * steps, slow, empty, worstMs: Math.round(worst) }
})()`)
