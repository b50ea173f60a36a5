/** Rules that lead to each other: what comes in by one goes round and round, a connection a step. */
import type { Protocol } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'
import type { Host } from '../host/contract.ts'
import { listensOverlap, type Listen } from '../model/listen.ts'
import { targetPort } from '../model/port-map.ts'
import type { Rule } from '../model/rule.ts'
import type { Target } from '../model/target.ts'

/** Where a connection is: it came in by this port of this rule; 0 is a Unix socket. */
interface Place {
  readonly rule: Rule
  readonly port: number
  readonly protocol: Protocol
}

interface Step {
  readonly key: string
  readonly place: Place
  /** Places that it leads to and that have not been followed yet. */
  readonly next: Place[]
}

const mostNamed = 20

/**
 * @param isOwn whether an address is this machine's. Names other than `localhost` are not resolved; the dial looks at those.
 * @returns a remark for each circle of two rules or more that touches one of `fresh`
 */
export function circleNotes(
  rules: readonly Rule[],
  fresh: readonly Rule[],
  isOwn: (address: string) => boolean,
): Text[] {
  const names = new Set(fresh.map(({ name }) => name))
  return circlesIn(rules, isOwn)
    .filter((circle) => circle.some(({ name }) => names.has(name)))
    .slice(0, mostNamed)
    .map((circle) => {
      const way = [...circle, circle[0] as Rule].map(({ name }) => name).join(' → ')
      return say(
        `${way}: these rules lead to each other, and a connection goes round until descriptors run out; point one of them elsewhere`,
        `${way}: 규칙이 서로를 가리켜, 연결이 디스크립터가 바닥날 때까지 돌게 됩니다. 하나의 대상을 바꾸세요`,
      )
    })
}

/** The same, with this machine's addresses as they are now. */
export async function circlesHere(
  rules: readonly Rule[],
  fresh: readonly Rule[],
  { network }: Pick<Host, 'network'>,
  signal: AbortSignal,
): Promise<Text[]> {
  const interfaces = await network.interfaces({ signal })
  const own = new Set(interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)))
  const isOwn = (address: string): boolean =>
    address.startsWith('127.') || address === '::1' || own.has(address)
  return circleNotes(rules, fresh, isOwn)
}

/** Each circle of two rules or more once, in the order of the way. A rule that is its own target is refused elsewhere. */
export function circlesIn(rules: readonly Rule[], isOwn: (address: string) => boolean): readonly Rule[][] {
  const enabled = rules.filter((rule) => rule.enabled)
  const heard = heardBy(enabled)
  const next = (place: Place): Place[] =>
    place.rule.targets.flatMap(({ to }) => {
      const dialled = dialledBy(place, to, isOwn)
      if (dialled === null) return []
      const port = dialled.kind === 'unix' ? 0 : dialled.ports.first
      const there = heard.get(dialled.kind === 'unix' ? dialled.path : port) ?? []
      return there
        .filter(({ listen }) => listensOverlap(listen, dialled))
        .map((rule) => ({ rule, port, protocol: place.protocol }))
    })
  const circles = new Map<string, Rule[]>()
  const done = new Set<string>()
  for (const rule of enabled)
    for (const place of placesOf(rule)) {
      for (const circle of circlesFrom(place, next, done)) {
        const members = [...new Set(circle)]
        const key = members
          .map(({ name }) => name)
          .toSorted()
          .join(' ')
        if (members.length > 1 && !circles.has(key)) circles.set(key, members)
      }
    }
  return [...circles.values()]
}

/** Depth first, each place once; by hand, as a range may lead through thousands. */
function circlesFrom(start: Place, next: (place: Place) => Place[], done: Set<string>): Rule[][] {
  const circles: Rule[][] = []
  const way: Step[] = []
  const onWay = new Map<string, number>()
  const enter = (place: Place): void => {
    const key = `${place.protocol} ${place.port} ${place.rule.name}`
    const before = onWay.get(key)
    if (before !== undefined) circles.push(way.slice(before).map((step) => step.place.rule))
    if (before !== undefined || done.has(key)) return
    onWay.set(key, way.length)
    way.push({ key, place, next: next(place) })
  }
  enter(start)
  for (let step = way.at(-1); step; step = way.at(-1)) {
    const place = step.next.pop()
    if (place) enter(place)
    else {
      done.add(step.key)
      onWay.delete(step.key)
      way.pop()
    }
  }
  return circles
}

/** Rules by what they listen on: a port or a path. */
function heardBy(rules: readonly Rule[]): Map<number | string, Rule[]> {
  const heard = new Map<number | string, Rule[]>()
  for (const rule of rules)
    for (const key of rule.listen.kind === 'unix' ? [rule.listen.path] : portsOf(rule)) {
      const there = heard.get(key)
      if (there) there.push(rule)
      else heard.set(key, [rule])
    }
  return heard
}

function placesOf(rule: Rule): Place[] {
  const protocols = rule.listen.kind === 'unix' ? (['tcp'] as const) : rule.listen.protocols
  // Only what leads somewhere on this machine can lead back.
  if (rule.targets.every(({ to }) => to.kind === 'guest')) return []
  return portsOf(rule).flatMap((port) => protocols.map((protocol) => ({ rule, port, protocol })))
}

function portsOf({ listen }: Rule): number[] {
  if (listen.kind === 'unix') return [0]
  const { first, last } = listen.ports
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

/** What a target is to those who listen here; null where it is somewhere else. */
function dialledBy(
  { rule, port, protocol }: Place,
  to: Target,
  isOwn: (address: string) => boolean,
): Listen | null {
  if (to.kind === 'unix') return { kind: 'unix', path: to.path }
  if (to.kind === 'guest') return null
  const address = to.host === 'localhost' ? '127.0.0.1' : to.host
  if (address !== '0.0.0.0' && address !== '::' && !isOwn(address)) return null
  const at = rule.listen.kind === 'unix' ? to.ports.first : targetPort(port, rule.listen.ports, to.ports)
  return { kind: 'inet', address, ports: { first: at, last: at }, protocols: [protocol] }
}
