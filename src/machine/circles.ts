/** Rules that lead to each other: what comes in by one goes round and round, a connection a step. */
import { isLoopbackName } from '../base/address.ts'
import { portCount, portsOverlap, type PortRange, type Protocol } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'
import type { Host, Interface } from '../host/contract.ts'
import { ListenIndex, PortHolders } from '../model/listen-index.ts'
import { listensOverlap, type Listen } from '../model/listen.ts'
import { targetPort } from '../model/port-map.ts'
import type { Rule } from '../model/rule.ts'
import type { Target } from '../model/target.ts'

const mostNamed = 20

/**
 * @param isOwn whether an address is this machine's. Names other than those of loopback are not resolved; the dial looks at those.
 * @returns a remark for each circle of two rules or more that touches one of `fresh`
 */
export function circleNotes(
  rules: readonly Rule[],
  fresh: readonly Rule[],
  isOwn: (address: string) => boolean,
): Text[] {
  const names = new Set(fresh.map(({ name }) => name))
  const { found, all } = circlesIn(rules, isOwn, { from: fresh })
  const notes = found
    .filter((circle) => circle.some(({ name }) => names.has(name)))
    .slice(0, mostNamed)
    .map((circle) => {
      const way = wayRound(circle)
      return say`${way}: these rules lead to each other, and a connection goes round until descriptors run out; point one of them elsewhere`
    })
  return all ? notes : [...notes, notAllFollowed]
}

const notAllFollowed = say(
  'rules lead to others of this machine in more ways than are followed: whether some lead to each other is not known',
)

/** Of a long way its beginning. */
function wayRound(circle: readonly Rule[]): string {
  const names = circle.slice(0, mostNamed).map(({ name }) => name)
  const more = circle.length > mostNamed ? ['…'] : []
  return [...names, ...more, names[0] ?? ''].join(' → ')
}

/** The same, with this machine's addresses as they are now. */
export async function circlesHere(
  rules: readonly Rule[],
  fresh: readonly Rule[],
  { network }: Pick<Host, 'network'>,
  signal: AbortSignal,
): Promise<Text[]> {
  // The machine is asked only where rules lead to each other if every address were its own.
  if (circleNotes(rules, fresh, () => true).length === 0) return []
  return circleNotes(rules, fresh, ownAddress(await network.interfaces({ signal })))
}

/** Whether an address is this machine's. */
export function ownAddress(interfaces: readonly Interface[]): (address: string) => boolean {
  const own = new Set(interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)))
  return (address) =>
    address.startsWith('127.') || address === '::1' || own.has(address.split('%', 1)[0] ?? '')
}

export interface Circles {
  /** Each of two rules or more once, in the order of the way. A rule that is its own target is refused elsewhere. */
  readonly found: readonly Rule[][]
  /** False where it takes too many steps to say whether there are more. */
  readonly all: boolean
}

/**
 * Ports that are led on together are followed together, so that ranges cost what single ports do.
 * @param from the rules at which ways begin; a circle that touches one is found from there
 */
export function circlesIn(
  rules: readonly Rule[],
  isOwn: (address: string) => boolean,
  { from = rules, mostSteps = enoughSteps }: { from?: readonly Rule[]; mostSteps?: number } = {},
): Circles {
  const enabled = mayGoRound(rules, isOwn)
  const may = new Set(enabled.map(({ name }) => name))
  const begin = from.filter(({ enabled: isEnabled, name }) => isEnabled && may.has(name))
  if (begin.length <= fewBegin && !mayTouch(enabled, begin, isOwn)) return { found: [], all: true }
  const heard = new ListenIndex<Rule>()
  for (const rule of enabled.toSorted((a, b) => portsHeard(a.listen).first - portsHeard(b.listen).first))
    heard.add(rule.listen, rule)
  const search = new Search(heard, isOwn, mostSteps)
  for (const rule of begin) for (const protocol of protocolsOf(rule)) search.from(rule, protocol)
  const places = new Map(enabled.map((rule, at) => [rule, at]))
  return { found: [...search.circles.values()].map((circle) => turned(circle, places)), all: !search.cut }
}

/** A chain loses a rule at each end with each look; what is left of one is followed as what goes round is. */
const mostLooks = 3

/**
 * Whoever leads to nobody here, and whom nobody here leads to, is in no circle: by ports alone, which ten thousand rules
 * are told in milliseconds, while following their ways takes a tenth of a second.
 */
function mayGoRound(rules: readonly Rule[], isOwn: (address: string) => boolean): readonly Rule[] {
  let left = rules.flatMap((rule) => {
    const here = rule.enabled ? rule.targets.filter(({ to }) => leadsHere(to, isOwn)) : []
    return here.length > 0
      ? [{ rule, hears: portsHeard(rule.listen), dials: here.map(({ to }) => portsAt(to)) }]
      : []
  })
  for (let look = 0; look < mostLooks; look++) {
    const [heard, dialled] = [new PortMarks(), new PortMarks()]
    for (const { hears, dials } of left) {
      heard.add(hears)
      for (const ports of dials) dialled.add(ports)
    }
    const meeting = left.filter(
      ({ hears, dials }) => dialled.meets(hears) && dials.some((ports) => heard.meets(ports)),
    )
    if (meeting.length === left.length) break
    left = meeting
  }
  return left.map(({ rule }) => rule)
}

/** Ports that somebody is at: all are marked before the first is asked for. */
class PortMarks {
  /** How many begin at a port, less how many ended before it; once asked, how many ports up to it are marked. */
  readonly #counts = new Int32Array(65_537)
  #isSummed = false

  add({ first, last }: PortRange): void {
    this.#counts[first] = (this.#counts[first] ?? 0) + 1
    this.#counts[last + 1] = (this.#counts[last + 1] ?? 0) - 1
  }

  meets({ first, last }: PortRange): boolean {
    if (!this.#isSummed) this.#sum()
    return (this.#counts[last] ?? 0) > (first === 0 ? 0 : (this.#counts[first - 1] ?? 0))
  }

  #sum(): void {
    this.#isSummed = true
    let [open, marked] = [0, 0]
    for (let port = 0; port < this.#counts.length; port++) {
      open += this.#counts[port] ?? 0
      if (open > 0) marked++
      this.#counts[port] = marked
    }
  }
}

/** Up to this many, each is held against all; 10,000 rules take 20 ms to be indexed. */
const fewBegin = 20

/** A circle that touches one of them leads from one of them to another rule, and from another rule to one of them. */
function mayTouch(
  enabled: readonly Rule[],
  from: readonly Rule[],
  isOwn: (address: string) => boolean,
): boolean {
  const names = new Set(from.map(({ name }) => name))
  const these = enabled.filter(({ name }) => names.has(name))
  return (
    these.some((rule) => leadsToOther(rule, enabled, isOwn)) &&
    enabled.some((rule) => leadsToOther(rule, these, isOwn))
  )
}

function leadsToOther(rule: Rule, others: readonly Rule[], isOwn: (address: string) => boolean): boolean {
  return rule.targets.some(({ to }) => {
    const near = others.filter((other) => other !== rule && portsMeet(to, other.listen))
    if (near.length === 0) return false
    return protocolsOf(rule).some((protocol) => {
      const whole = { rule, protocol, ports: portsHeard(rule.listen) }
      const dialled = dialledBy(whole, to, isOwn)
      return dialled.some((one) => near.some(({ listen }) => listensOverlap(listen, one)))
    })
  })
}

function leadsHere(to: Target, isOwn: (address: string) => boolean): boolean {
  return to.kind === 'unix' || (to.kind === 'inet' && addressesOf(to.host).some(isOwn))
}

function portsMeet(to: Target, listen: Listen): boolean {
  if (to.kind !== 'inet' || listen.kind !== 'inet') return to.kind === listen.kind
  return portsOverlap(to.ports, listen.ports)
}

/** It begins with the rule that stands first. */
function turned(circle: readonly Rule[], places: ReadonlyMap<Rule, number>): Rule[] {
  const order = circle.map((rule) => places.get(rule) ?? 0)
  const first = order.indexOf(order.reduce((least, place) => Math.min(least, place)))
  return [...circle.slice(first), ...circle.slice(0, first)]
}

/** About a quarter of a second. Ten thousand rules of one target each take ten thousand. */
const enoughSteps = 100_000

/** Where connections are: they came in by these ports of this rule; 0 is a Unix socket. */
interface Place {
  readonly rule: Rule
  readonly protocol: Protocol
  readonly ports: PortRange
  /** How far they are from the ports at which the way began; null where they met at one on the way. */
  readonly moved: number | null
}

interface Step {
  readonly key: string
  readonly place: Place
  /** Places that it leads to and that have not been followed yet. */
  readonly next: Place[]
  /** It leads back to its own rule further up, which may yet lead to others. */
  returns: boolean
}

/** Depth first, each port of a rule once; by hand, as a way may lead through thousands. */
class Search {
  readonly circles = new Map<string, Rule[]>()
  /** More steps would have been needed. */
  cut = false
  #steps = 0
  readonly #way: Step[] = []
  readonly #onWay = new Map<string, number>()
  readonly #done = new Map<string, PortHolders<true>>()
  readonly #heard: ListenIndex<Rule>
  readonly #isOwn: (address: string) => boolean
  readonly #mostSteps: number

  constructor(heard: ListenIndex<Rule>, isOwn: (address: string) => boolean, mostSteps: number) {
    this.#heard = heard
    this.#isOwn = isOwn
    this.#mostSteps = mostSteps
  }

  /** All that comes in by the rule. */
  from(rule: Rule, protocol: Protocol): void {
    const starts = this.#unfollowed({ rule, protocol, ports: portsHeard(rule.listen), moved: 0 })
    for (const start of starts) {
      this.#enter(start)
      for (let step = this.#way.at(-1); step && !this.cut; step = this.#way.at(-1)) {
        const place = step.next.pop()
        if (place) this.#enter(place)
        else this.#leave(step)
      }
    }
  }

  #enter(place: Place): void {
    if (!this.#count(1)) return
    const key = `${placeKey(place)} ${place.moved ?? `at ${place.ports.first}`}`
    const before = this.#onWay.get(key)
    if (before !== undefined) return this.#found(before)
    const left = this.#unfollowed(place)
    if (left.length === 1 && portCount((left[0] as Place).ports) === portCount(place.ports)) {
      this.#onWay.set(key, this.#way.length)
      this.#way.push({ key, place, next: this.#next(place), returns: false })
    } else this.#way.at(-1)?.next.push(...left)
  }

  #leave({ key, place, returns }: Step): void {
    this.#way.pop()
    this.#onWay.delete(key)
    // Who comes to these ports from another rule goes round with it: what is on the way above is not all followed.
    if (returns) return
    const followed = this.#done.get(placeKey(place)) ?? new PortHolders<true>()
    followed.take(place.ports, true)
    this.#done.set(placeKey(place), followed)
  }

  /** @param from where on the way it began */
  #found(from: number): void {
    const way = this.#way.slice(from)
    this.#count(way.length)
    const members = [...new Set(way.map(({ place }) => place.rule))]
    if (members.length === 1) for (const step of way.slice(1)) step.returns = true
    const key = members
      .map(({ name }) => name)
      .toSorted()
      .join(' ')
    if (members.length > 1 && !this.circles.has(key)) this.circles.set(key, members)
  }

  #unfollowed(place: Place): Place[] {
    const free = this.#done.get(placeKey(place))?.free(place.ports) ?? [place.ports]
    this.#count(free.length - 1)
    return free.map((ports) => ({ ...place, ports }))
  }

  #next(place: Place): Place[] {
    const next = place.rule.targets.flatMap(({ to }) => {
      const together = place.moved !== null && keepsApart(place, to)
      return dialledBy(place, to, this.#isOwn).flatMap((dialled) => {
        const moved = together ? (place.moved ?? 0) + portsHeard(dialled).first - place.ports.first : null
        const heard = this.#heard.allAt(dialled)
        return heard.map(({ holder, ports }): Place => ({
          rule: holder,
          protocol: place.protocol,
          ports,
          moved,
        }))
      })
    })
    this.#count(next.length)
    return next
  }

  /** @returns false where it is time to stop */
  #count(steps: number): boolean {
    this.#steps += steps
    this.cut ||= this.#steps > this.#mostSteps
    return !this.cut
  }
}

function placeKey({ rule, protocol }: Place): string {
  return `${protocol} ${rule.name}`
}

function protocolsOf({ listen, targets }: Rule): readonly Protocol[] {
  // Only what leads somewhere on this machine can lead back.
  if (targets.every(({ to }) => to.kind === 'guest')) return []
  return listen.kind === 'unix' ? ['tcp'] : listen.protocols
}

/** No guest is here, see `leadsHere`. */
function portsAt(to: Target): PortRange {
  return to.kind === 'inet' ? to.ports : noPort
}

const noPort: PortRange = { first: 0, last: 0 }

/** A Unix socket is port 0. */
function portsHeard(listen: Listen): PortRange {
  return listen.kind === 'unix' ? noPort : listen.ports
}

/** Each port is led to another: a range to a range. */
function keepsApart({ rule }: Place, to: Target): boolean {
  return rule.listen.kind === 'inet' && to.kind === 'inet' && portCount(to.ports) > 1
}

/** What a target is to those who listen here; nothing where it is somewhere else. */
function dialledBy(
  { rule, ports, protocol }: Omit<Place, 'moved'>,
  to: Target,
  isOwn: (address: string) => boolean,
): Listen[] {
  if (to.kind === 'unix') return [{ kind: 'unix', path: to.path }]
  if (to.kind === 'guest') return []
  const { listen } = rule
  const at = (port: number): number =>
    listen.kind === 'unix' ? to.ports.first : targetPort(port, listen.ports, to.ports)
  const dialled = { first: at(ports.first), last: at(ports.last) }
  return addressesOf(to.host)
    .filter(isOwn)
    .map((address) => ({ kind: 'inet', address, ports: dialled, protocols: [protocol] }))
}

/** What is dialled where no address of this machine is named; a name that has two is led to either. */
const loopbackOf: ReadonlyMap<string, readonly string[]> = new Map([
  ['localhost', ['127.0.0.1', '::1']],
  ['0.0.0.0', ['127.0.0.1']],
  ['::', ['::1']],
])

function addressesOf(host: string): readonly string[] {
  return loopbackOf.get(isLoopbackName(host) ? 'localhost' : host) ?? [host]
}
