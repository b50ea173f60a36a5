/** What the lines of one proxy say, its inherited ones first: later lines replace earlier ones, as haproxy has it. */
import { say, type Text } from '../../base/text.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { OrderedAccess } from '../shared/access.ts'
import { both, everybody, type AccessEntry } from '../shared/access.ts'
import type { Cidr } from '../../base/address.ts'
import type { ConfigLine, Word } from '../shared/words.ts'
import { conditionOf, type Condition } from './condition.ts'
import type { Section } from './sections.ts'

export interface HaproxySettings {
  readonly section: Section
  mode: string
  readonly binds: ConfigLine[]
  readonly servers: ConfigLine[]
  readonly serverDefaults: Word[]
  balance: 'round-robin' | 'least-connections' | 'source-hash'
  timeouts: { connect: number | null; client: number | null; server: number | null; tunnel: number | null }
  /** Null where it is not said; 0 is off. */
  keepaliveMs: number | null
  connections: number | null
  perSource: number | null
  newPerSecond: number | null
  access: OrderedAccess
  /** The first line that turns a client away by its address, or by how many connections it has. */
  guard: At | null
  /** The first of them that is held against the TCP peer, before a PROXY header is read. */
  peerGuard: At | null
  acceptProxy: Cidr[]
  readonly routes: { backend: string; names: readonly string[] }[]
  /** All names of the `routes`. */
  readonly taken: Set<string>
  /** Where whoever none of the `routes` takes goes; null for the section's own servers. */
  fallback: string | null
  /** A `use_backend` without a condition was said: haproxy reads no further, and no `default_backend`. */
  isRouted: boolean
  keep: boolean
  enabled: boolean
  readonly losses: (At & { why: Text })[]
  /** What makes the whole proxy another one than we could be. */
  unfit: (At & { why: Text }) | null
}

interface At {
  readonly place: SourcePlace
  readonly what: string
}

const noSuch = say('there is no such setting here')
const unclear = say('a condition that is not understood decides who comes in')
const elsewhere = say('a condition that is not understood decides where it goes')

const computed = say('a name that haproxy computes decides where it goes')
const madeByHaproxy = say('its servers are made by haproxy; write them as server lines')
const conditional = say('a condition of haproxy’s own decides whether its lines count')

/** As long as haproxy can say: we write it for "never". */
export const neverMs = 24 * 86_400_000

export function settingsOf(section: Section): HaproxySettings {
  const settings: HaproxySettings = {
    section,
    mode: 'tcp',
    binds: [],
    servers: [],
    serverDefaults: [],
    balance: 'round-robin',
    timeouts: { connect: null, client: null, server: null, tunnel: null },
    keepaliveMs: null,
    connections: null,
    perSource: null,
    newPerSecond: null,
    access: { entries: [], otherwise: 'allow' },
    guard: null,
    peerGuard: null,
    acceptProxy: [],
    routes: [],
    taken: new Set(),
    fallback: null,
    isRouted: false,
    keep: false,
    enabled: true,
    losses: [],
    unfit: null,
  }
  const lines = [...section.inherited, ...section.own]
  const acls = new Map<string, Word[]>()
  for (const { words } of lines) {
    const [first, name, ...rest] = words
    if (first?.text !== 'acl' || !name) continue
    const test = { ...name, text: rest.map(({ text }) => text).join(' ') }
    const there = acls.get(name.text)
    if (there) there.push(test)
    else acls.set(name.text, [test])
  }
  const requests = new Requests(settings, acls)
  for (const line of lines) takeLine(line, settings, requests, acls)
  requests.finish()
  return settings
}

// oxlint-disable-next-line max-lines-per-function -- a table: one case a directive
function takeLine(
  line: ConfigLine,
  settings: HaproxySettings,
  requests: Requests,
  acls: ReadonlyMap<string, Word[]>,
): void {
  const [first, second, third] = line.words
  if (!first) return
  const value = second?.text ?? ''
  switch (first.text) {
    case 'acl':
      return
    case 'mode':
      settings.mode = value
      return
    case 'bind':
      settings.binds.push(line)
      return
    case 'server':
      settings.servers.push(line)
      return
    case 'default-server':
      settings.serverDefaults.push(...line.words.slice(1))
      return
    case 'default_backend':
      if (!settings.isRouted) settings.fallback = value
      return
    case 'disabled':
      settings.enabled = false
      return
    case 'enabled':
      settings.enabled = true
      return
    case 'maxconn':
      settings.connections = countOf(value)
      return
    case 'rate-limit':
      if (value === 'sessions') settings.newPerSecond = countOf(third?.text ?? '')
      return
    case 'balance':
      return takeBalance(line, settings)
    case 'timeout':
      return takeTimeout(line, settings)
    case 'clitcpka-idle':
    case 'srvtcpka-idle':
      settings.keepaliveMs = millisecondsOf(value) ?? settings.keepaliveMs
      return
    case 'option':
    case 'no':
      return takeOption(line, settings)
    case 'source':
      if (/\busesrc\s+client(?:ip)?\b/.test(line.text)) settings.keep = true
      else lose(line, settings, noSuch)
      return
    case 'monitor-net':
      return unfit(line, settings, unclear)
    case 'use-server':
      return unfit(line, settings, elsewhere)
    case 'server-template':
    case 'dispatch':
      return unfit(line, settings, madeByHaproxy)
    case '.if':
    case '.elif':
    case '.else':
    case '.endif':
      return unfit(line, settings, conditional)
    case 'use_backend':
      return takeRoute(line, settings, acls)
    case 'stick-table':
      if (!/\bstore\s+conn_cur\s*$/.test(line.text)) lose(line, settings, noSuch)
      return
    case 'tcp-request':
      return requests.take(line)
    default:
      lose(line, settings, noSuch)
  }
}

function lose(line: ConfigLine, settings: HaproxySettings, why: Text): void {
  settings.losses.push({ ...at(line), why })
}

function unfit(line: ConfigLine, settings: HaproxySettings, why: Text): void {
  settings.unfit ??= { ...at(line), why }
}

function at(line: ConfigLine): At {
  const place = line.words[0]?.place ?? { line: line.number, column: 1 }
  return { place, what: line.words.map(({ text }) => text).join(' ') }
}

function takeBalance(line: ConfigLine, settings: HaproxySettings): void {
  const known = {
    roundrobin: 'round-robin',
    'static-rr': 'round-robin',
    leastconn: 'least-connections',
    source: 'source-hash',
  } as const
  const how = line.words[1]?.text ?? ''
  if (Object.hasOwn(known, how)) settings.balance = known[how as keyof typeof known]
  else lose(line, settings, say('round robin instead'))
}

function takeTimeout(line: ConfigLine, settings: HaproxySettings): void {
  const [, what, value] = line.words
  const ms = millisecondsOf(value?.text ?? '')
  const which = what?.text ?? ''
  if (ms === null || !Object.hasOwn(settings.timeouts, which)) lose(line, settings, noSuch)
  else settings.timeouts[which as keyof HaproxySettings['timeouts']] = ms
}

function takeOption(line: ConfigLine, settings: HaproxySettings): void {
  const words = line.words.map(({ text }) => text)
  const off = words[0] === 'no'
  const option = words[off ? 2 : 1] ?? ''
  if (/^(?:cli|srv)?tcpka$/.test(option)) settings.keepaliveMs = off ? 0 : (settings.keepaliveMs ?? 60_000)
  else if (!off) lose(line, settings, noSuch)
}

function takeRoute(line: ConfigLine, settings: HaproxySettings, acls: ReadonlyMap<string, Word[]>): void {
  const backend = line.words[1]?.text
  if (backend === undefined) return
  if (settings.isRouted) return lose(line, settings, takenBefore)
  const condition = conditionOf(line.words.slice(2), acls)
  if (/[%$]/.test(backend)) unfit(line, settings, computed)
  else if (condition.ask === 'always') {
    settings.fallback = backend
    settings.isRouted = true
  } else if (condition.ask === 'server-name' && !condition.negated) {
    // haproxy takes the first that matches, a rule the nearest.
    const { taken } = settings
    const names = condition.names.filter((name) => !isTaken(name, taken))
    for (const name of names) taken.add(name)
    if (names.length < condition.names.length) lose(line, settings, takenBefore)
    settings.routes.push({ backend, names })
  } else unfit(line, settings, elsewhere)
}

const takenBefore = say('a line before it takes all of it')

/** Is every client that asks for `name` (`*.` for any below) taken by one before? */
function isTaken(name: string, taken: ReadonlySet<string>): boolean {
  if (taken.has(name)) return true
  // No name is longer (RFC 1035 §2.3.4).
  for (let at = name.lastIndexOf('.', 255); at > 0; at = name.lastIndexOf('.', at - 1))
    if (taken.has(`*${name.slice(at)}`)) return true
  return false
}

/** In the order in which haproxy goes through them: the header of `accept-proxy` is read after the first. */
const layers = ['connection', 'session', 'content'] as const
type Layer = (typeof layers)[number]

/** Actions that turn nobody away and leave everybody the address that he has. */
const idle =
  /^(?:track-sc\d|inspect-delay|capture|log|set-var|unset-var|set-var-fmt|sc-inc-gpc[^(]*|sc-set-gpt[^(]*|set-mark|set-tos|set-nice|set-log-level|set-bandwidth-limit|set-fc-[^(]*)(?:\(|$)/

/**
 * `tcp-request` lines. Each layer is a list of its own, of which the first line that matches ends that layer alone: who
 * comes in must come through all of them.
 */
class Requests {
  readonly #settings: HaproxySettings
  readonly #acls: ReadonlyMap<string, Word[]>
  readonly #access = new Map(layers.map((layer) => [layer, new Access()] as const))
  /** What is counted by something else than the source, and what is counted before the header. */
  #tracked: { other: ConfigLine | null; peer: ConfigLine | null } = { other: null, peer: null }
  /** TLS clients have gone on: what follows is for the others alone. */
  #helloWentOn = false

  constructor(settings: HaproxySettings, acls: ReadonlyMap<string, Word[]>) {
    this.#settings = settings
    this.#acls = acls
  }

  finish(): void {
    const settings = this.#settings
    settings.access = layers.reduce<OrderedAccess>(
      (all, layer) => both(all, this.#access.get(layer)?.ordered() ?? all),
      { entries: [], otherwise: 'allow' },
    )
    if (settings.perSource === null) return
    const { other, peer } = this.#tracked
    if (other) unfit(other, settings, unclear)
    if (peer) settings.peerGuard ??= at(peer)
  }

  take(line: ConfigLine): void {
    const [, layer, action = layer] = line.words
    if (layer?.text === 'inspect-delay') return
    const access = this.#access.get(layer?.text as Layer)
    const settings = this.#settings
    if (!access || !action) return unfit(line, settings, unclear)
    // Behind a line that takes everybody none is read.
    if (access.isDone) return
    const after = line.words.findIndex(({ text }) => text === 'if' || text === 'unless')
    const condition = conditionOf(after === -1 ? [] : line.words.slice(after), this.#acls)
    switch (action.text) {
      case 'accept':
        // Waits for the ClientHello, and says nothing of who comes in.
        if (condition.ask === 'hello') {
          this.#helloWentOn = true
          return
        }
        return this.#decide('allow', condition, line)
      case 'reject':
      case 'silent-drop':
        if (condition.ask === 'connections-above') {
          settings.perSource = Math.min(condition.count, settings.perSource ?? Infinity)
          return this.#guarded(line)
        }
        return this.#decide('deny', condition, line)
      case 'expect-proxy':
        if (condition.ask === 'always') settings.acceptProxy.push(...everybody)
        else if (condition.ask === 'source' && !condition.negated)
          settings.acceptProxy.push(...condition.cidrs)
        else unfit(line, settings, unclear)
        return
      default:
        return this.#other(line, layer?.text as Layer, action.text)
    }
  }

  #decide(action: AccessEntry['action'], condition: Condition, line: ConfigLine): void {
    const layer = line.words[1]?.text as Layer
    if (layer === 'content' && this.#helloWentOn) {
      if (action === 'deny' || condition.ask !== 'always') unfit(line, this.#settings, unclear)
      return
    }
    if (this.#access.get(layer)?.take(action, condition) !== true) return unfit(line, this.#settings, unclear)
    if (condition.ask !== 'always' || action === 'deny') this.#guarded(line)
  }

  #guarded(line: ConfigLine): void {
    const settings = this.#settings
    settings.guard ??= at(line)
    if (line.words[1]?.text === 'connection' && !isForAll(line)) settings.peerGuard ??= at(line)
  }

  #other(line: ConfigLine, layer: Layer, action: string): void {
    if (!idle.test(action)) return unfit(line, this.#settings, unclear)
    if (!action.startsWith('track-sc')) return lose(line, this.#settings, noSuch)
    if (line.words[3]?.text !== 'src') this.#tracked.other ??= line
    else if (layer === 'connection') this.#tracked.peer ??= line
  }
}

function isForAll({ words }: ConfigLine): boolean {
  return !words.some(({ text }) => text === 'if' || text === 'unless')
}

/** `accept` and `reject` in their order. */
class Access {
  readonly #entries: AccessEntry[] = []
  #otherwise: 'allow' | 'deny' | null = null
  /** "reject unless" was said: whoever is inside went on, and nobody else. */
  #closed = false

  /** Everybody was let in or turned away: haproxy reads no further. */
  get isDone(): boolean {
    return this.#otherwise !== null && !this.#closed
  }

  /** False where it cannot be said. */
  take(action: AccessEntry['action'], condition: Condition): boolean {
    if (this.#closed) return condition.ask === 'always' && action === 'allow'
    if (condition.ask === 'always') this.#otherwise = action
    else if (condition.ask !== 'source') return false
    // Who is turned away for another's address is turned away; nobody is let in for it.
    else if (!condition.negated)
      this.#note(action, action === 'deny' ? [...condition.cidrs, ...condition.also] : condition.cidrs)
    else {
      if (action === 'allow') return false
      this.#note('allow', condition.cidrs)
      this.#otherwise = 'deny'
      this.#closed = true
    }
    return true
  }

  ordered(): OrderedAccess {
    return { entries: this.#entries, otherwise: this.#otherwise ?? 'allow' }
  }

  #note(action: AccessEntry['action'], cidrs: readonly Cidr[]): void {
    this.#entries.push(...cidrs.map((cidr): AccessEntry => ({ action, cidr })))
  }
}

/** Milliseconds unless a unit is said; null where it is no time. */
export function millisecondsOf(text: string): number | null {
  const [, count, unit = 'ms'] = /^(\d{1,10})(us|ms|s|m|h|d)?$/.exec(text) ?? []
  if (count === undefined) return null
  const units = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  return Math.ceil(Number(count) * units[unit as keyof typeof units])
}

export function countOf(text: string): number | null {
  return /^\d{1,8}$/.test(text) && Number(text) > 0 ? Number(text) : null
}
