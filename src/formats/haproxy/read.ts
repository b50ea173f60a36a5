/** Each frontend with its backends becomes a rule; a frontend that binds several times becomes several. */
import { canonicalAddress, formatCidr } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import { both, fromOrder } from '../shared/access.ts'
import { listenText, ruleName, type PartLoss, type ImportContext } from '../shared/import-context.ts'
import type { ConfigLine } from '../shared/words.ts'
import { sectionsOf, type Section } from './sections.ts'
import { serversOf, targetsJson, type Servers } from './servers.ts'
import { neverMs, settingsOf, type HaproxySettings } from './settings.ts'

export function read(text: string, reading: ImportContext): void {
  const sections = sectionsOf(text, reading)
  const backends = new Map<string, Section>()
  for (const section of sections) if (section.kind !== 'frontend') backends.set(section.name, section)
  const used = new Set<Section>()
  const read = new Map<Section, HaproxySettings>()
  const said = new Set<string>()
  for (const section of sections)
    if (section.kind !== 'backend') new Frontend(section, { backends, used, read, said }, reading).read()
  for (const section of sections)
    if (section.kind === 'backend' && !used.has(section))
      reading.lose(section.place, `backend ${section.name}`, say('no TCP frontend sends to it'))
}

interface Bind {
  readonly place: SourcePlace
  /** As in a rule; null where `why` says why not. */
  readonly listen: string | null
  readonly ports: string
  readonly acceptProxy: boolean
  readonly why: Text | null
}

/** A backend with its servers as targets, for the server name that it serves. */
interface Served extends Servers {
  readonly name: string | null
  readonly settings: HaproxySettings
}

/** What all frontends share. */
interface Shared {
  readonly backends: ReadonlyMap<string, Section>
  readonly used: Set<Section>
  readonly read: Map<Section, HaproxySettings>
  readonly said: Set<string>
}

class Frontend {
  readonly #section: Section
  readonly #settings: HaproxySettings
  readonly #backends: ReadonlyMap<string, Section>
  readonly #used: Set<Section>
  /** Settings of backends, each read once. */
  readonly #read: Map<Section, HaproxySettings>
  readonly #said: Set<string>
  readonly #reading: ImportContext
  readonly #losses: PartLoss[] = []

  constructor(section: Section, shared: Shared, reading: ImportContext) {
    this.#section = section
    reading.weigh(section.place, section.inherited.length)
    this.#settings = settingsOf(section)
    this.#backends = shared.backends
    this.#used = shared.used
    this.#read = shared.read
    this.#said = shared.said
    this.#reading = reading
  }

  read(): void {
    const { kind, name, place } = this.#section
    const groups = this.#groups()
    const unfit =
      this.#whyUnfit(this.#settings) ??
      groups.map(({ settings }) => this.#whyUnfit(settings)).find((why) => why !== null) ??
      this.#backGuard(groups) ??
      null
    if (unfit) return this.#reading.leaveOut(unfit.place, `${kind} ${name}: ${unfit.what}`, unfit.why)
    if (groups.length === 0)
      return this.#reading.leaveOut(place, `${kind} ${name}`, say('it sends to no server'))
    this.#lose(this.#settings.losses)
    for (const { settings } of groups) if (settings !== this.#settings) this.#lose(settings.losses)
    for (const line of this.#settings.binds)
      for (const bind of bindsOf(line, this.#losses)) this.#add(bind, groups)
    if (this.#settings.binds.length === 0)
      this.#reading.leaveOut(place, `${kind} ${name}`, say('it binds to nothing'))
  }

  /** By server name first, then for all others. */
  #groups(): { name: string | null; settings: HaproxySettings }[] {
    const { routes, fallback, servers } = this.#settings
    const named = routes.flatMap(({ backend, names }) =>
      names.map((name) => ({ name, settings: this.#backend(backend) })),
    )
    const rest = fallback === null ? (servers.length > 0 ? this.#settings : null) : this.#backend(fallback)
    return [...named, { name: null, settings: rest }].filter(
      (group): group is { name: string | null; settings: HaproxySettings } => group.settings !== null,
    )
  }

  #backend(name: string): HaproxySettings | null {
    const section = this.#backends.get(name)
    if (!section) {
      this.#reading.wrong(this.#section.place, say`there is no backend ${name}`)
      return null
    }
    this.#used.add(section)
    const before = this.#read.get(section)
    if (before) return before
    this.#reading.weigh(section.place, section.inherited.length)
    const settings = settingsOf(section)
    this.#read.set(section, settings)
    return settings
  }

  #whyUnfit(settings: HaproxySettings): HaproxySettings['unfit'] {
    const { section } = settings
    if (!settings.enabled && settings !== this.#settings)
      return { place: section.place, what: `backend ${section.name}: disabled`, why: isOff }
    if (settings.mode === 'tcp') return settings.unfit
    const why = say('Naru carries TCP as it is and does not speak HTTP')
    return { place: this.#section.place, what: `mode ${settings.mode}`, why }
  }

  /** A rule has one list for all of its targets, and counts by itself. */
  #backGuard(groups: readonly { settings: HaproxySettings }[]): HaproxySettings['unfit'] {
    const backs = groups.map(({ settings }) => settings).filter((settings) => settings !== this.#settings)
    const guarded = backs.find(
      ({ guard, perSource }) => guard !== null && (groups.length > 1 || perSource !== null),
    )
    if (!guarded?.guard) return null
    const why = say('the backend decides who comes in, for more than this one forward')
    return { ...guarded.guard, why }
  }

  /** What a rule has one of for all of its targets, and each backend its own; `hard` where one cannot stand for another. */
  #differences(served: readonly Served[]): { hard: PartLoss | null; soft: PartLoss[] } {
    const [last] = served.slice(-1)
    const soft: PartLoss[] = []
    if (!last || served.length < 2) return { hard: null, soft }
    const said = ({ settings, proxy }: Served): string =>
      JSON.stringify([proxy, settings.keep || this.#settings.keep])
    for (const one of served) {
      const { settings } = one
      const { place, name } = settings.section
      if (said(one) !== said(last))
        return { hard: { place, what: `backend ${name}: send-proxy, source`, why: seenOtherwise }, soft }
      const differs = [
        ['balance', settings.balance, last.settings.balance],
        ['timeout', timeoutsOf(this.#settings, settings), timeoutsOf(this.#settings, last.settings)],
        ['check', one.health, last.health],
      ].flatMap(([what, own, taken]) =>
        JSON.stringify(own) === JSON.stringify(taken) ? [] : [what as string],
      )
      if (differs.length > 0)
        soft.push({
          place,
          what: `backend ${name}: ${differs.join(', ')}`,
          why: asOf(last.settings.section.name),
        })
    }
    return { hard: null, soft }
  }

  /** Inherited lines are the same for all that inherit them, and told once. */
  #lose(losses: readonly PartLoss[]): void {
    for (const loss of losses) {
      const key = `${loss.place.line}:${loss.place.column}`
      if (!this.#said.has(key)) this.#losses.push(loss)
      this.#said.add(key)
    }
  }

  #add(bind: Bind, groups: readonly { name: string | null; settings: HaproxySettings }[]): void {
    const { kind, name } = this.#section
    const what = `${kind} ${name}: bind`
    if (bind.listen === null) return this.#reading.leaveOut(bind.place, what, bind.why ?? cannotListen)
    const { peerGuard, acceptProxy } = this.#settings
    if (peerGuard && (bind.acceptProxy || acceptProxy.length > 0))
      return this.#reading.leaveOut(peerGuard.place, `${kind} ${name}: ${peerGuard.what}`, heldAgainstPeer)
    const lists = [this.#settings, groups.at(-1)?.settings ?? this.#settings].map(
      ({ access }) => access.entries,
    )
    const entries = [...groups.map(({ settings }) => settings.servers), ...lists]
    this.#reading.weigh(
      bind.place,
      entries.reduce((sum, { length }) => sum + length, 0),
    )
    const served: Served[] = groups.map((group) => ({ ...group, ...serversOf(group.settings, bind.ports) }))
    const unfit = served.find((one) => one.unfit)?.unfit
    if (unfit) return this.#reading.leaveOut(unfit.place, `${kind} ${name}: ${unfit.what}`, unfit.why)
    if (served.every(({ targets }) => targets.length === 0))
      return this.#reading.leaveOut(bind.place, what, say('none of its servers is on'))
    const { hard, soft } = this.#differences(served)
    if (hard) return this.#reading.leaveOut(hard.place, `${kind} ${name}: ${hard.what}`, hard.why)
    this.#lose(served.flatMap(({ losses }) => losses))
    this.#lose(soft)
    const { enabled } = this.#settings
    this.#reading.add(
      bind.place,
      ruleName(name),
      {
        listen: bind.listen,
        ...targetsJson(served),
        ...policyOf(this.#settings, groups.at(-1)?.settings ?? this.#settings, served, bind),
        ...(enabled ? {} : { enabled }),
      },
      { what, losses: this.#losses.splice(0) },
    )
  }
}

const isOff = say('it is switched off, and serves nobody')
const heldAgainstPeer = say(
  'it is held against the peer that connects, before its PROXY header is read; a rule holds its lists against whom the header names',
)
const seenOtherwise = say(
  'its servers see the client in another way than those of another backend, and a rule has one way for all',
)
function asOf(name: string): Text {
  return say`a rule has one for all of its targets: that of ${name}`
}
const cannotListen = say('it cannot be listened on')

function policyOf(
  front: HaproxySettings,
  back: HaproxySettings,
  served: readonly Servers[],
  { listen, acceptProxy }: Bind,
): RuleInput {
  const { allow, deny: denied } = fromOrder(both(front.access, back.access))
  const health = served.at(-1)?.health ?? null
  const source = served.at(-1)?.proxy ?? (back.keep || front.keep ? 'keep' : null)
  const limits = compact({
    connections: front.connections,
    perSource: front.perSource,
    newPerSecond: front.newPerSecond,
  })
  // Where only IPv4 comes in nobody needs to be turned away for an IPv6 address.
  const isIPv4 = /^\d+\./.test(listen ?? '') && !acceptProxy && front.acceptProxy.length === 0
  const deny = isIPv4 ? denied.filter((cidr) => !cidr.includes(':')) : denied
  const trusted = [...front.acceptProxy.map(formatCidr), ...(acceptProxy ? ['0.0.0.0/0', '::/0'] : [])]
  return {
    ...(back.balance === 'round-robin' ? {} : { balance: back.balance }),
    ...(health === null ? {} : { health }),
    ...(allow.length > 0 ? { allow } : {}),
    ...(deny.length > 0 ? { deny } : {}),
    ...(Object.keys(limits).length > 0 ? { limits } : {}),
    timeouts: timeoutsOf(front, back),
    ...(source === null ? {} : { source }),
    ...(trusted.length > 0 ? { acceptProxy: trusted } : {}),
  }
}

/** HAProxy's 0 is no end: Linux gives a dial up after 127 s (tcp_syn_retries). */
const asLongAsTried = '130s'

/** Idle is silence of both, so the longer of theirs; a tunnel's takes the place of both. */
function timeoutsOf(front: HaproxySettings, back: HaproxySettings): Record<string, string> {
  const { connect } = back.timeouts
  const tunnel = back.timeouts.tunnel ?? front.timeouts.tunnel
  const sides = [front.timeouts.client ?? 0, back.timeouts.server ?? 0]
  const idle = tunnel ?? (sides.includes(0) ? 0 : Math.max(...sides))
  const keepalive = front.keepaliveMs ?? back.keepaliveMs
  return {
    ...(connect === null ? {} : { connect: connect === 0 ? asLongAsTried : `${connect}ms` }),
    idle: idle >= neverMs ? '0' : `${idle}ms`,
    ...(keepalive === null ? {} : { keepalive: `${keepalive}ms` }),
  }
}

function compact(limits: Record<string, number | null>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(limits).filter((entry): entry is [string, number] => entry[1] !== null),
  )
}

/** `bind :80,:443 v4v6`, `bind [::1]:53`, `bind unix@/run/x.sock`. */
function bindsOf(line: ConfigLine, losses: PartLoss[]): Bind[] {
  const [, addresses, ...params] = line.words
  if (!addresses) return []
  const options = params.map(({ text }) => text)
  const extra = options.filter((option) => !/^(?:v4v6|v6only|accept-proxy|ssl)$/.test(option))
  const isOwned = extra.some((option) => /^(?:mode|user|group|uid|gid)$/.test(option))
  if (extra.length > 0)
    losses.push({
      place: params[0]?.place ?? addresses.place,
      what: `bind ${extra.join(' ')}`,
      why: isOwned
        ? say('only root and the user that Naru runs as may connect to its sockets')
        : say('there is no such setting here'),
    })
  const common = { place: addresses.place, acceptProxy: options.includes('accept-proxy') }
  const why = options.includes('ssl')
    ? say('TLS ends here; Naru passes it through')
    : options.some((option) => /^(?:interface|namespace|accept-netscaler-cip)$/.test(option))
      ? say('not everybody who reaches the address gets in')
      : null
  if (why) return [{ ...common, listen: null, ports: '', why }]
  return addresses.text.split(',').map((one) => ({ ...common, ...bound(one, options) }))
}

function bound(text: string, options: readonly string[]): Pick<Bind, 'listen' | 'ports' | 'why'> {
  const bare = text.replace(/^(?:ipv[46]@|unix@)/, '')
  if (bare.startsWith('/') || text.startsWith('unix@'))
    return { listen: `unix:${bare}`, ports: '', why: null }
  const [, host = '', ports = ''] = /^(.*):(\d+(?:-\d+)?)$/.exec(bare) ?? []
  const address = host.replaceAll(/[[\]]/g, '')
  if (ports === '')
    return {
      listen: null,
      ports,
      why: say`"${text}" is no address and port`,
    }
  const v6 = address === '::' || (address === '' && text.startsWith('ipv6@'))
  if (v6) return { listen: listenText(options.includes('v6only') ? '::' : null, ports), ports, why: null }
  if (address === '' || address === '*') return { listen: listenText('0.0.0.0', ports), ports, why: null }
  if (canonicalAddress(address) !== null) return { listen: listenText(address, ports), ports, why: null }
  const why = say('it binds to a name or a variable; write the address')
  return { listen: null, ports, why }
}
