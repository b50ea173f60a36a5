/**
 * The daemon watches by itself: faults are made for real on a host behind a router, and must be told within 10 s, by
 * `ls`, as an event and in the log; and a service that comes and goes must not make it chatter.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createClient, type NaruClient } from '../../src/api/client/client.ts'
import { socketTransport } from '../../src/api/client/socket.ts'
import { dampingMs } from '../../src/rules/flap-damping.ts'
import { running } from '../../src/instance/instance.ts'
import type { HopStatus, NaruEvent } from '../../src/model/naru-api.ts'
import type { Hop } from '../../src/model/hop.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { startService } from './chain.ts'
import { nftFirewall } from './firewalls.ts'
import { end, Lab } from './namespaces.ts'
import { homeAddresses, homeNetwork } from './router.ts'

const main = join(import.meta.dirname, '../../dist/main.js')
const load = (): number => (loadavg()[0] as number) / availableParallelism()
/** Longer where the machine has more to do than processors. */
const noticedMs = (): number => 10_000 * Math.max(1, load())
/** What a lease of the rule holds is looked at more often than what the checks see: 4.6 s at worst, if nothing else runs. */
const heldNoticedMs = (): number => 5000 * (1 + load())

const file = `rules:
  web: { listen: 8888, target: 80, publish: { firewall: auto, router: auto } }
  plain: { listen: 8889, target: 18081 }
  flighty: { listen: 8890, target: 18082 }
`

describeWith(
  { root: true, platform: 'linux', commands: ['nft', 'miniupnpd', 'ip', 'curl'] },
  'the daemon’s own eye',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'naru-watch-'))
    const events: NaruEvent[] = []
    const stop = new AbortController()
    let lab: Lab
    let home: Awaited<ReturnType<typeof homeNetwork>>
    let naru: NaruClient
    let plain: ChildProcess

    beforeAll(async () => {
      await built()
      lab = new Lab()
      home = await homeNetwork(lab)
      nftFirewall(home.host)
      await startService(home.host, '127.0.0.1:80')
      plain = await startService(home.host, '127.0.0.1:18081')
      home.host.start([process.execPath, '-e', comesAndGoes(18_082, 3000)])
      naru = await startDaemon()
      void follow()
      await until('all open', async () => (await states()).every((state) => state === 'open'), 30_000)
    }, 90_000)
    afterAll(async () => {
      stop.abort()
      await naru?.stop().catch(() => {})
      await home?.[Symbol.asyncDispose]()
      await lab?.[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    })

    async function startDaemon(): Promise<NaruClient> {
      const [config, state] = [join(folder, 'naru.yaml'), join(folder, 'state')]
      writeFileSync(config, file)
      const env = { ...process.env, NARU_STATE: state, HOME: folder, LANG: 'C' }
      home.host.start([process.execPath, main, 'up', '--config', config, '--api', 'off'], {
        env,
        stdio: 'ignore',
      })
      let socketPath = ''
      await until(
        'the daemon runs',
        async () => {
          socketPath = (await running(state).catch(() => []))[0]?.socket ?? ''
          if (socketPath === '') return false
          const client = createClient(socketTransport({ socketPath, file: config }))
          return client.about().then(
            () => true,
            () => false,
          )
        },
        30_000,
      )
      return createClient(socketTransport({ socketPath, file: config }))
    }

    async function follow(): Promise<void> {
      for await (const event of naru.events({ signal: stop.signal })) events.push(event)
    }

    /** The rule that comes and goes is whatever it is. */
    const states = async (): Promise<string[]> =>
      (await naru.rules.list()).filter(({ name }) => name !== 'flighty').map(({ state }) => state)

    const hop = async (rule: string, name: Hop): Promise<HopStatus | undefined> =>
      (await naru.rules.get(rule)).hops.find((status) => status.hop === name)

    function cable(state: 'up' | 'down'): void {
      home.router.host.sysctl('net/ipv6/conf/lan/keep_addr_on_down', '1')
      home.router.host.ip('link', 'set', 'lan', state)
    }

    /** Events of one moment go out together, so the list may know a change a moment earlier: asked for with `poll`. */
    const lastHop = (rule: string): HopStatus | undefined =>
      events.flatMap((event) => (event.type === 'hop' && event.rule === rule ? [event.status] : [])).at(-1)

    const told = (rule: string): string[] =>
      events.flatMap((event) =>
        event.type === 'log' && event.rule === rule ? [`${event.level} ${event.text.en}`] : [],
      )

    it('tells within 10 s that a service nobody published has stopped, and when it is back', async () => {
      await end(plain)
      await until(
        'service broken',
        async () => (await hop('plain', 'service'))?.state === 'broken',
        noticedMs(),
      )
      expect(await hop('plain', 'service')).toMatchObject({
        problem: 'service-down',
        text: { en: 'the service does not run: 127.0.0.1:18081 refuses connections' },
      })
      expect((await naru.rules.get('plain')).state).toBe('degraded')
      await expect.poll(() => lastHop('plain')).toMatchObject({ hop: 'service', state: 'broken' })
      await expect
        .poll(() => told('plain'))
        .toEqual([expect.stringContaining('warn the service does not run')])

      await startService(home.host, '127.0.0.1:18081')
      await until(
        'open again',
        async () => (await naru.rules.get('plain')).state === 'open',
        noticedMs() + dampingMs,
      )
      await expect.poll(() => told('plain').at(-1)).toBe('info service works again')
    }, 120_000)

    it('tells within 10 s that this machine has lost its way out', async () => {
      home.host.ip('route', 'delete', 'default')
      await until(
        'router broken',
        async () => (await hop('web', 'router'))?.problem === 'no-gateway',
        noticedMs(),
      )
      expect((await naru.rules.get('plain')).state).toBe('open')
      home.host.ip('route', 'add', 'default', 'via', homeAddresses.router)
      await until(
        'open again',
        async () => (await naru.rules.get('web')).state === 'open',
        noticedMs() + dampingMs,
      )
    }, 120_000)

    it.each<[string, () => Promise<void> | void, () => Promise<void> | void]>([
      ['is killed', () => home.router.kill(), () => home.router.restart()],
      ['has its cable out', () => cable('down'), () => cable('up')],
    ])(
      'tells within 5 s that the router %s, and when it is back',
      { timeout: 120_000 },
      async (_, go, back) => {
        await until('open', async () => (await hop('web', 'router'))?.state === 'ok', 60_000)
        // It has just come back, and what has just changed is told again only when it has been calm.
        await new Promise((resolve) => setTimeout(resolve, dampingMs))
        await go()
        const began = performance.now()
        await until(
          'router broken',
          async () => (await hop('web', 'router'))?.problem === 'ROUTER_SILENT',
          heldNoticedMs(),
        )
        process.stderr.write(`told after ${Math.round(performance.now() - began)} ms\n`)
        await expect.poll(() => lastHop('web')).toMatchObject({ hop: 'router', state: 'broken' })
        expect((await naru.rules.get('plain')).state).toBe('open')
        await back()
        await until('back', async () => (await hop('web', 'router'))?.state === 'ok', 60_000)
      },
    )

    it('does not chatter about a service that comes and goes', async () => {
      const changes = (): number[] =>
        events.flatMap((event) => (event.type === 'log' && event.rule === 'flighty' ? [event.at] : []))
      await until('seen once', async () => changes().length > 0, 30_000)
      const apart = changes().flatMap((at, index, all) =>
        index === 0 ? [] : [at - (all[index - 1] as number)],
      )
      for (const ms of apart) expect(ms).toBeGreaterThanOrEqual(dampingMs - 100)
      expect(changes().length).toBeLessThanOrEqual(5)
    }, 60_000)
  },
)

/** A service that is there for `ms`, then not for `ms`, and so on. */
function comesAndGoes(port: number, ms: number): string {
  return `const server = require('net').createServer((socket) => socket.destroy())
    const turn = () => (server.listening ? server.close() : server.listen(${port}, '127.0.0.1'))
    turn(), setInterval(turn, ${ms})`
}

async function until(what: string, isSo: () => Promise<boolean>, ms: number): Promise<void> {
  const began = performance.now()
  while (!(await isSo())) {
    if (performance.now() - began > ms) throw new Error(`not within ${Math.round(ms)} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
