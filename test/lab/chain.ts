/**
 * The whole way from an internet to a service, for the doctor to look at: router (miniupnpd), host with an nft that
 * drops by default, relay, service. The test's own thread is inside the host; hops are opened by the real members,
 * and what they hold is told to the doctor as the daemon would.
 */
import type { ChildProcess } from 'node:child_process'
import { availableParallelism, loadavg } from 'node:os'
import { systemClock } from '../../src/base/clock.ts'
import { toNaruError } from '../../src/base/errors.ts'
import { silentLog } from '../../src/base/log.ts'
import { checks } from '../../src/doctor/checks/index.ts'
import type { OutsideTest } from '../../src/doctor/checks/contract.ts'
import { createDoctor } from '../../src/doctor/diagnose.ts'
import { countSyns } from '../../src/doctor/outside/syn-counter.ts'
import { makeSocketsEngine } from '../../src/engines/sockets/engine.ts'
import { firewalls, detectFirewall } from '../../src/firewalls/index.ts'
import type { GuestMember } from '../../src/guests/contract.ts'
import type { Host } from '../../src/host/contract.ts'
import { createHost } from '../../src/host/index.ts'
import type { Diagnosis } from '../../src/model/diagnosis.ts'
import type { HopStatus, RuleInput } from '../../src/model/naru-api.ts'
import type { Hop, Lease } from '../../src/model/hop.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import type { Rule } from '../../src/model/rule.ts'
import type { RouterMember } from '../../src/routers/contract.ts'
import { createRouters } from '../../src/routers/index.ts'
import { MemoryRecorder } from '../fakes/recorder.ts'
import { enter } from './enter.ts'
import { firewalldFirewall, nftFirewall, type LabFirewall } from './firewalls.ts'
import { Lab, type LabHost } from './namespaces.ts'
import { homeNetwork, type LabRouter } from './router.ts'

/** A diagnosis takes at most 12 s; on a machine that has more to do than processors, the lab waits longer. */
export const worstMs = loadavg()[0]! > 2 * availableParallelism() ? 36_000 : 12_000

export interface ChainOptions {
  /** Keys of the rule; the rest is 8888 → 127.0.0.1:80, published by firewall and router. */
  readonly rule?: RuleInput
  readonly home?: Parameters<typeof homeNetwork>[1]
  /** Where the service listens; null starts none. @default '127.0.0.1:80' */
  readonly service?: string | null
  /** Hops to leave closed. */
  readonly without?: readonly Hop[]
  /** @default nft that drops by default */
  readonly firewall?: 'nft' | 'none' | 'firewalld'
  readonly guests?: readonly GuestMember[]
  /** The router protocol that is used. @default 'upnp', whose list can be read back */
  readonly router?: string
  /** Laid before anything is opened. */
  readonly before?: (place: {
    lab: Lab
    host: LabHost
    router: LabRouter
    internet: LabHost
  }) => Promise<void> | void
}

export class Chain implements AsyncDisposable {
  readonly internet: LabHost
  readonly router: LabRouter
  readonly host: LabHost
  readonly rule: Rule
  readonly machine: Host
  /** What the daemon would know of the hops. */
  hops: HopStatus[] = []
  outside: OutsideTest[] = []
  readonly #lab: Lab
  readonly #undo: (() => Promise<void>)[]
  readonly #options: ChainOptions
  readonly #routers: readonly RouterMember[]

  /** Set where the chain's firewall has files of its own. */
  readonly firewall: LabFirewall | null

  constructor(
    lab: Lab,
    place: { internet: LabHost; router: LabRouter; host: LabHost },
    options: ChainOptions,
    undo: (() => Promise<void>)[],
    firewall: LabFirewall | null,
  ) {
    this.#lab = lab
    this.firewall = firewall
    this.internet = place.internet
    this.router = place.router
    this.host = place.host
    this.#options = options
    this.#undo = undo
    this.machine = firewall?.host ?? createHost()
    this.#routers = createRouters()
    this.rule = parseRule('web', {
      listen: 8888,
      target: 80,
      publish: { firewall: 'auto', router: 'auto' },
      ...options.rule,
    })
  }

  static async open(options: ChainOptions = {}): Promise<Chain> {
    const lab = new Lab()
    const undo: (() => Promise<void>)[] = [() => lab[Symbol.asyncDispose]()]
    try {
      const home = await homeNetwork(lab, options.home)
      undo.push(async () => home[Symbol.asyncDispose]())
      const firewall = await firewallOf(home.host, options.firewall ?? 'nft')
      if (firewall) undo.push(async () => firewall[Symbol.asyncDispose]())
      await options.before?.({ lab, ...home })
      if (options.service !== null) await startService(home.host, options.service ?? '127.0.0.1:80')
      const inside = enter(home.host)
      undo.push(() => Promise.resolve(inside[Symbol.dispose]()))
      const chain = new Chain(lab, home, options, undo, firewall)
      await chain.#openHops()
      return chain
    } catch (error) {
      for (const step of undo.toReversed()) await step()
      throw error
    }
  }

  get lab(): Lab {
    return this.#lab
  }

  /** Opens a hop with the real member; where that fails, the failure is what the doctor is told. */
  async openHop(hop: Hop): Promise<void> {
    try {
      const lease = await this.#leaseOf(hop)
      this.#undo.push(() => lease.release({ signal: AbortSignal.timeout(5000) }).catch(() => {}))
      const { member, text, differs, data } = lease.describe()
      this.tell({
        hop,
        member,
        state: differs.length > 0 ? 'warning' : 'ok',
        text,
        notes: differs,
        data,
        problem: null,
        checkedAt: Date.now(),
      })
    } catch (error) {
      const { code, text } = toNaruError(error)
      this.tell({
        hop,
        member: null,
        state: 'broken',
        text,
        notes: [],
        data: { code },
        problem: code,
        checkedAt: Date.now(),
      })
    }
  }

  tell(status: HopStatus): void {
    this.hops = [...this.hops.filter(({ hop }) => hop !== status.hop), status]
  }

  /** Somebody on the internet tries the port while SYNs are counted here; the doctor is told the outcome. */
  async tryFromOutside(port: number, to = '11.0.0.2'): Promise<OutsideTest> {
    await using counter = await countSyns([port === this.rule.publish.externalPort ? 8888 : port, 8888], {
      host: this.machine,
      signal: AbortSignal.timeout(20_000),
    })
    const where = to.includes(':') ? `[${to}]` : to
    const answered = await answers(this.internet, `http://${where}:${port}/`, 3)
    const synsSeen = [...(await counter.read()).values()].reduce((sum, count) => sum + count, 0)
    const test: OutsideTest = {
      port,
      to,
      who: { kind: 'vantage', address: '11.0.0.1' },
      result: answered ? 'answered' : 'silent',
      synsSeen,
    }
    this.outside.push(test)
    return test
  }

  diagnose(options: { about?: string } = {}): Promise<Diagnosis> {
    const doctor = createDoctor({
      host: this.machine,
      clock: systemClock,
      log: silentLog,
      checks,
      routers: this.#routers,
      firewalls,
      guests: this.#options.guests ?? [],
      resolveName: (target) =>
        Promise.resolve({ addresses: target.kind === 'inet' ? [target.host] : [], ttlMs: 1000 }),
      askStun: () => Promise.resolve(null),
      rules: () => Promise.resolve([{ rule: this.rule, hops: this.hops }]),
    })
    return doctor.diagnose({
      signal: AbortSignal.timeout(60_000),
      about: 'web',
      limitMs: worstMs,
      outside: this.outside,
      ...options,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const step of this.#undo.splice(0).toReversed()) await step()
  }

  async #openHops(): Promise<void> {
    const guest: Hop[] = this.rule.targets.some(({ to }) => to.kind === 'guest') ? ['guest'] : []
    const wanted: Hop[] = [...guest, 'relay', 'firewall', 'router']
    for (const hop of wanted) if (!this.#options.without?.includes(hop)) await this.openHop(hop)
  }

  #leaseOf(hop: Hop): Promise<Lease> {
    if (hop === 'relay') return this.#openRelay()
    if (hop === 'guest') return this.#openGuest()
    return hop === 'firewall' ? this.#openFirewall() : this.#openRouter()
  }

  async #openRelay(): Promise<Lease> {
    const tools = { host: this.machine, clock: systemClock, log: silentLog }
    const engine = makeSocketsEngine(tools)
    this.#undo.push(() => engine.close())
    const request = {
      rule: this.rule,
      resolve: () => Promise.resolve({ addresses: [], ttlMs: 1000 }),
      onEvent: () => {},
    }
    return engine.open(request, { signal: AbortSignal.timeout(5000), record: new MemoryRecorder() })
  }

  async #openGuest(): Promise<Lease> {
    const to = this.rule.targets.map((choice) => choice.to).find((one) => one.kind === 'guest')
    const member = this.#options.guests?.find(({ kind }) => to?.kind === 'guest' && kind === to.guest)
    if (to?.kind !== 'guest' || !member) throw new Error('no such guest')
    const request = {
      rule: 'web',
      name: to.name,
      protocol: 'tcp' as const,
      hostAddress: null,
      hostPorts: null,
      guestPorts: to.ports,
    }
    return member.open(request, {
      host: this.machine,
      signal: AbortSignal.timeout(10_000),
      record: new MemoryRecorder(),
    })
  }

  async #openFirewall(): Promise<Lease> {
    const options = { host: this.machine, signal: AbortSignal.timeout(10_000) }
    const member = await detectFirewall(options)
    const request = {
      rule: 'web',
      protocols: ['tcp' as const],
      ports: { first: 8888, last: 8888 },
      address: null,
      allow: [],
    }
    return member.open(request, { ...options, record: new MemoryRecorder() })
  }

  async #openRouter(): Promise<Lease> {
    const tools = { host: this.machine, clock: systemClock, log: silentLog }
    const member = this.#routers.find(({ id }) => id === (this.#options.router ?? 'upnp')) as RouterMember
    const found = await member.discover({ signal: AbortSignal.timeout(7000), tools })
    const router = found.find(({ family }) => family === 4)
    if (!router) throw new Error('no router')
    const { externalPort } = this.rule.publish
    return router.open(
      {
        rule: 'web',
        protocol: 'tcp',
        externalPort: typeof externalPort === 'number' ? externalPort : 8888,
        anyPort: externalPort === 'any' || this.#options.router === 'nat-pmp',
        internalPort: 8888,
        internalAddress: null,
        leaseSeconds: 3600,
        allow: [],
      },
      { signal: AbortSignal.timeout(10_000), record: new MemoryRecorder() },
    )
  }
}

/** Null where its commands run like any other of the host. */
async function firewallOf(host: LabHost, kind: 'nft' | 'none' | 'firewalld'): Promise<LabFirewall | null> {
  if (kind === 'nft') nftFirewall(host, ['tcp dport 22 accept'])
  return kind === 'firewalld' ? firewalldFirewall(host) : null
}

/** Does curl there get any answer? Not `reaches`, which would stop this thread, in which the relay runs. */
export function answers(from: LabHost, url: string, seconds = 2): Promise<boolean> {
  const child = from.start(['curl', '-g', '-s', '-o', '/dev/null', '-m', String(seconds), url], {
    stdio: 'ignore',
  })
  return new Promise((resolve) => child.once('exit', (code) => resolve(code === 0)))
}

/** A web server at `ADDRESS:PORT`, or `udp:ADDRESS:PORT` for something that only takes datagrams. */
export async function startService(host: LabHost, where: string): Promise<ChildProcess> {
  const udp = where.startsWith('udp:')
  const at = where.lastIndexOf(':')
  const [address, port] = [where.slice(udp ? 4 : 0, at), where.slice(at + 1)]
  const listen = `{ port: ${port}, host: '${address}', ipv6Only: ${address.includes(':')} }`
  const script = udp
    ? `const s = require('dgram').createSocket('udp4'); s.bind(${port}, '${address}', () => console.log('up'))`
    : `require('http').createServer((q, a) => a.end('hello')).listen(${listen}, () => console.log('up'))`
  const child = host.start([process.execPath, '-e', script])
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', () => reject(new Error(`the service ended: ${where}`)))
  })
  return child
}
