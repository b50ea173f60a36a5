/**
 * A machine made of one set of words: what engines, firewalls and guests hold is in `world`, in the order it came.
 * Members journal as real ones do, fail on request, and can be "killed": a new `parts` on the same world and journal
 * sees what was left behind.
 */
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { NaruError } from '../../src/base/errors.ts'
import { silentLog } from '../../src/base/log.ts'
import { stopped } from '../../src/base/single-flight.ts'
import { say, verbatim } from '../../src/base/text.ts'
import type { Deps } from '../../src/instance/deps.ts'
import { noCounters } from '../../src/rules/counters.ts'
import type { Engine, EngineLease, EngineRequest } from '../../src/engines/contract.ts'
import type { FirewallMember } from '../../src/firewalls/contract.ts'
import type { Host } from '../../src/host/contract.ts'
import type { Json, Lease, OpenOptions } from '../../src/model/hop.ts'
import { formatListen } from '../../src/model/listen.ts'
import type { EngineId, Rule } from '../../src/model/rule.ts'
import { formatTarget } from '../../src/model/target.ts'
import { formatPortRange } from '../../src/base/port.ts'
import type { Store } from '../../src/stores/contract.ts'
import { silent } from './host.ts'

export class World {
  /** What is in force, such as `sockets 8888 → 10.0.0.1:80` or `firewall 8888`. */
  readonly held = new Set<string>()
  /** Everything that happened, in order: `+ sockets 8888…`, `- firewall 8888`. */
  readonly log: string[] = []
  /** Words of which opening fails while they are here. */
  readonly failing = new Set<string>()
  /** Words of which opening takes until it is called off while they are here. */
  readonly silent = new Set<string>()
  /** Words of which undoing fails while they are here. */
  readonly stuck = new Set<string>()
  /** Turns of the event loop that opening and undoing take, whoever calls them off. */
  turns: () => number = () => 0
  /** How many wait for such. */
  asked = 0

  async answer(word: string, signal: AbortSignal): Promise<void> {
    if (![...this.silent].some((silent) => word.includes(silent))) return
    this.asked++
    await new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(stopped(signal, word)), { once: true })
    }).finally(() => this.asked--)
  }

  async lag(): Promise<void> {
    for (let turn = this.turns(); turn > 0; turn--) await new Promise(setImmediate)
  }

  /** @throws Error while it is stuck */
  async undo(word: string): Promise<void> {
    await this.lag()
    if ([...this.stuck].some((stuck) => word.includes(stuck))) throw new Error(`${word} does not answer`)
    this.remove(word)
  }

  add(word: string): void {
    if ([...this.failing].some((fail) => word.includes(fail)))
      throw new NaruError('LISTEN_FAILED', { listen: word, why: 'asked to fail' })
    this.held.add(word)
    this.log.push(`+ ${word}`)
  }

  remove(word: string): void {
    if (this.held.delete(word)) this.log.push(`- ${word}`)
  }
}

export function fakeParts(world: World, store: Store, overrides: Partial<Deps> = {}): Deps {
  return {
    version: '0',
    host: fakeHost,
    clock: systemClock,
    log: silentLog,
    store,
    engines: [fakeEngine(world, 'splice'), fakeEngine(world, 'sockets')],
    firewalls: [fakeFirewall(world)],
    routers: [],
    guests: [],
    resolveName: () => Promise.resolve({ addresses: ['10.0.0.1'], ttlMs: 1000 }),
    probe: ({ host, port }) =>
      world.held.has(`down ${host}:${port}`) ? Promise.reject(new Error('refused')) : Promise.resolve(),
    ...overrides,
  }
}

export const fakeHost: Host = {
  facts: () =>
    Promise.resolve({
      platform: 'linux',
      arch: 'x64',
      kernel: '6.0',
      privileged: true,
      capabilities: [],
      firstUnprivilegedPort: 1024,
      tools: {},
    }),
  runner: { run: () => Promise.reject(new Error('no commands here')), hold: silent },
  network: {
    interfaces: () => Promise.resolve([]),
    defaultRoutes: () => Promise.resolve([]),
    routeTo: () => Promise.resolve(null),
    nameServers: () => Promise.resolve([]),
    neighbours: () => Promise.resolve([]),
  },
  sockets: { list: () => Promise.resolve([]), owner: () => Promise.resolve(null) },
}

function fakeEngine(world: World, id: EngineId): Engine {
  return {
    id,
    supports: (rule) =>
      id === 'splice' && rule.limits.connections === 1
        ? { ok: false, why: say('one is too few', '하나는 너무 적습니다') }
        : { ok: true, why: verbatim(`${id} can`) },
    open: (request, { record }) => openEngine(world, id, request, record),
    undo: (effect) => world.undo(effect as string),
    close: () => Promise.resolve(),
  }
}

const wordOf = (id: string, rule: Rule): string =>
  `${id} ${formatListen(rule.listen)} → ${rule.targets.map(({ to }) => formatTarget(to)).join(',')}`

async function openEngine(
  world: World,
  id: string,
  { rule: first }: EngineRequest,
  record: OpenOptions['record'],
): Promise<EngineLease> {
  let rule = first
  let word = wordOf(id, rule)
  const effect = await record.intend(word)
  try {
    await world.lag()
    world.add(word)
  } catch (error) {
    await effect.undone()
    throw error
  }
  let released = false
  const release = async (): Promise<void> => {
    if (!released) await world.undo(word)
    released = true
    await effect.undone()
  }
  return {
    goodUntil: null,
    renewAfter: null,
    listening: [formatListen(rule.listen)],
    describe: () => ({ member: id, text: verbatim(word), differs: [], data: null }),
    verify: () => Promise.resolve({ state: 'held', notes: [] }),
    renew: () => Promise.resolve(),
    release,
    update(next) {
      if (formatListen(next.listen) !== formatListen(rule.listen)) return false
      world.remove(word)
      rule = next
      word = wordOf(id, rule)
      world.add(word)
      return true
    },
    retire: release,
    drain: release,
    connections: () => [],
    counters: () => noCounters,
    cut: () => false,
  }
}

function fakeFirewall(world: World): FirewallMember {
  return {
    id: 'fake',
    detect: () => Promise.resolve({ ok: true, why: verbatim('it decides here') }),
    status: () => Promise.resolve({ member: 'fake', active: true, defaultInput: 'block', open: [] }),
    explain: () => Promise.resolve({ verdict: 'unknown', by: '', why: verbatim('') }),
    async open(request, { record, signal }) {
      const word = `firewall ${formatPortRange(request.ports)}${request.protocols.includes('udp') ? '/udp' : ''} ${request.rule}`
      await world.answer(word, signal)
      await world.lag()
      return openWord(world, word, record)
    },
    undo: (effect: Json) => world.undo(effect as string),
  }
}

async function openWord(world: World, word: string, record: OpenOptions['record']): Promise<Lease> {
  const effect = await record.intend(word)
  try {
    world.add(word)
  } catch (error) {
    await effect.undone()
    throw error
  }
  return {
    goodUntil: null,
    renewAfter: null,
    describe: () => ({ member: 'fake', text: verbatim(word), differs: [], data: null }),
    verify: () =>
      Promise.resolve(
        world.held.has(word)
          ? { state: 'held', notes: [] }
          : { state: 'lost', why: new NaruError('LISTEN_FAILED', { listen: word, why: 'gone' }) },
      ),
    renew: () => Promise.resolve(world.add(word)),
    async release() {
      await world.undo(word)
      await effect.undone()
    },
  }
}

/** Time moved by hand: `advance` runs what falls due, in order. */
export class HandClock implements Clock {
  #now = 1_800_000_000_000
  #monotonic = 0
  readonly #due = new Set<{ at: number; every: number | null; run: () => void }>()

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#monotonic
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.after(ms, resolve)
      signal?.addEventListener('abort', () => {
        timer[Symbol.dispose]()
        reject(signal.reason as Error)
      })
    })
  }

  every(ms: number, run: () => void): Disposable {
    return this.#add({ at: this.#monotonic + ms, every: ms, run })
  }

  after(ms: number, run: () => void): Disposable {
    return this.#add({ at: this.#monotonic + ms, every: null, run })
  }

  /** Moves both clocks, letting promises settle after each thing that fell due. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now += next.at - this.#monotonic
      this.#monotonic = next.at
      if (next.every === null) this.#due.delete(next)
      else next.at += next.every
      next.run()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#now += end - this.#monotonic
    this.#monotonic = end
  }

  /** Only what people call the time moves: NTP, or a machine that slept. */
  jump(ms: number): void {
    this.#now += ms
  }

  #add(timer: { at: number; every: number | null; run: () => void }): Disposable {
    this.#due.add(timer)
    return { [Symbol.dispose]: () => void this.#due.delete(timer) }
  }

  #next(end: number): { at: number; every: number | null; run: () => void } | undefined {
    return [...this.#due].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0]
  }
}
