/**
 * A rule as the form holds it, and back. Keys that the form does not know, and those nobody touched, stay exactly as
 * the file has them.
 */
import type { RuleInput } from '../../../src/model/naru-api.ts'
import type { Json } from '../../../src/model/hop.ts'
import { guestKinds } from '../../../src/model/target.ts'
import { listenParts, listOf, targetParts } from '../parts/columns.ts'
import { changesOf, isMap, keyFieldOf, mapOf, numeric, textOf, textsOf, type KeyTexts } from './keys.ts'

/** One of several targets. */
export interface TargetDraft {
  /** As the file has it: `HOST:PORT`, `docker:web:80`. */
  readonly to: string
  /** Empty is 1. */
  readonly weight: string
  /** TLS server name or HTTP host; empty serves what no other does. */
  readonly name: string
  readonly backup: boolean
}

export interface Draft extends KeyTexts {
  readonly name: string
  /** What people call it, in any language. */
  readonly title: string
  readonly description: string
  /** With commas. */
  readonly tags: string
  readonly externalPort: string
  readonly protocol: 'tcp' | 'udp' | 'tcp+udp'
  /** Empty is every address. */
  readonly listenAddress: string
  /** Host, guest without its port, or a Unix path; empty is this machine. */
  readonly target: string
  /** Empty is the external one. */
  readonly internalPort: string
  /** Where there are several; empty is the one above. */
  readonly targets: readonly TargetDraft[]
  /** One a line. */
  readonly allow: string
  readonly deny: string
  readonly firewall: boolean
  readonly router: boolean
  readonly routerPort: string
  readonly guestNat: boolean
  readonly closing: 'never' | 'hours' | 'day' | 'time'
  /** As `datetime-local` has it: this person's own time. */
  readonly closingTime: string
  readonly health: boolean
}

export const emptyDraft: Draft = {
  ...textsOf({}),
  name: '',
  title: '',
  description: '',
  tags: '',
  externalPort: '',
  protocol: 'tcp',
  listenAddress: '',
  target: '',
  internalPort: '',
  targets: [],
  allow: '',
  deny: '',
  firewall: false,
  router: false,
  routerPort: '',
  guestNat: false,
  closing: 'never',
  closingTime: '',
  health: false,
}

export const emptyTarget: TargetDraft = { to: '', weight: '', name: '', backup: false }

export function draftOf(name: string, rule: RuleInput): Draft {
  const listen = listenParts(textOf(rule.listen))
  const { host, ports } = targetParts(textOf(rule.target))
  const publish = mapOf(rule.publish)
  const isOpen = (hop: 'firewall' | 'router'): boolean =>
    rule.publish === true || (publish[hop] !== undefined && publish[hop] !== 'off')
  return {
    ...textsOf(rule),
    name,
    title: textOf(rule.title),
    description: textOf(rule.description),
    tags: listOf(rule.tags).join(', '),
    externalPort: listen.port,
    protocol: protocolOf(listen.protocol),
    listenAddress: listen.address,
    target: host,
    internalPort: ports,
    targets: targetListOf(rule).map(targetDraftOf),
    allow: listOf(rule.allow).join('\n'),
    deny: listOf(rule.deny).join('\n'),
    firewall: isOpen('firewall'),
    router: isOpen('router'),
    routerPort: textOf(publish.externalPort),
    guestNat: publish.guest === 'nat',
    closing: rule.until === undefined ? 'never' : 'time',
    closingTime: rule.until === undefined ? '' : localTime(Date.parse(textOf(rule.until))),
    health: rule.health !== undefined && rule.health !== null,
  }
}

/** The rule that the draft asks for, on top of `base` (the file's, or nothing). */
export function ruleOf(draft: Draft, base: RuleInput, now: number): RuleInput {
  const before = Object.keys(base).length === 0 ? null : draftOf(draft.name, base)
  const touched = (...fields: (keyof Draft)[]): boolean =>
    before === null || fields.some((field) => JSON.stringify(draft[field]) !== JSON.stringify(before[field]))
  const rule: Record<string, Json> = { ...base }
  const put = (key: string, value: Json | undefined): void => {
    if (value === undefined) delete rule[key]
    else rule[key] = value
  }
  if (touched('title')) put('title', textOrNone(draft.title))
  if (touched('description')) put('description', textOrNone(draft.description))
  if (touched('tags')) put('tags', entriesOf(draft.tags, /,/))
  if (touched('externalPort', 'protocol', 'listenAddress')) put('listen', listenOf(draft))
  if (draft.targets.length === 0 && touched('target', 'internalPort', 'externalPort', 'targets')) {
    put('target', targetOf(draft))
    put('targets', undefined)
  }
  if (draft.targets.length > 0 && touched('targets')) {
    put('targets', targetsOf(draft, targetListOf(base)))
    put('target', undefined)
  }
  if (touched('allow')) put('allow', entriesOf(draft.allow, /[\s,]+/))
  if (touched('deny')) put('deny', entriesOf(draft.deny, /[\s,]+/))
  if (touched('firewall', 'router', 'routerPort', 'guestNat')) put('publish', publishOf(draft, base.publish))
  if (touched('closing', 'closingTime')) put('until', untilOf(draft, now))
  const changes = changesOf(draft, before, base)
  for (const [key, value] of changes) put(key, value)
  if (touched('health') || changes.has('health'))
    put('health', draft.health ? (rule['health'] ?? {}) : undefined)
  return rule
}

/** What an edit sends: keys that differ, null for those that go. Maps are merged key by key on the other side. */
export function changeBetween(base: RuleInput, next: RuleInput): RuleInput {
  const change: Record<string, Json> = {}
  for (const key of new Set([...Object.keys(base), ...Object.keys(next)])) {
    const [was, is] = [base[key], next[key]]
    if (JSON.stringify(was) === JSON.stringify(is)) continue
    if (is === undefined) change[key] = null
    else change[key] = isMap(was) && isMap(is) ? changeBetween(was, is) : is
  }
  return change
}

/** Where something can be wrong: a field, or one of a target's, which is counted among those that are not blank. */
export type DraftPlace = keyof Draft | `targets.${number}.${keyof TargetDraft}`

/** The field that a problem's path belongs to; null where it concerns the whole. */
export function fieldOf(path: string): DraftPlace | null {
  const [, at, key = 'to'] = /^targets\.(\d+)(?:\.(to|weight|name|backup))?$/.exec(path) ?? []
  if (at !== undefined) return `targets.${Number(at)}.${key as keyof TargetDraft}`
  const exact: Readonly<Record<string, keyof Draft>> = {
    target: 'target',
    targets: 'targets',
    listen: 'externalPort',
    publish: 'firewall',
    'publish.firewall': 'firewall',
    'publish.router': 'router',
    'publish.guest': 'guestNat',
    'publish.externalPort': 'routerPort',
    until: 'closing',
    name: 'name',
  }
  const [first = ''] = path.split('.')
  const whole = (['allow', 'deny', 'tags', 'title', 'description', 'health'] as const).find(
    (key) => key === first,
  )
  return keyFieldOf(path) ?? whole ?? exact[path] ?? null
}

/** `docker:web` is a guest; `docker:web:80` has its port with it already. */
export function isGuest(target: string): boolean {
  return guestKinds.some((kind) => target.startsWith(`${kind}:`) && /^\S/.test(target.slice(kind.length + 1)))
}

function protocolOf(text: string): Draft['protocol'] {
  const protocol = text.toLowerCase()
  if (protocol === 'udp') return 'udp'
  return protocol.includes('udp') ? 'tcp+udp' : 'tcp'
}

function listenOf({ externalPort, protocol, listenAddress }: Draft): Json {
  const port = externalPort.trim()
  if (port.startsWith('unix:')) return port
  const where = listenAddress === '' ? port : `${bracketed(listenAddress)}:${port}`
  return numeric(protocol === 'tcp' ? where : `${where}/${protocol}`)
}

/** Somebody has written something in it. */
export const isWritten = ({ to, weight, name }: TargetDraft): boolean => `${to}${weight}${name}`.trim() !== ''

/** What the draft's only target would be among several. */
export function asTarget(draft: Draft): TargetDraft {
  return { ...emptyTarget, to: textOf(targetOf(draft)) }
}

const targetListOf = ({ targets }: RuleInput): readonly Json[] => (Array.isArray(targets) ? targets : [])

function targetDraftOf(target: Json): TargetDraft {
  if (!isMap(target)) return { ...emptyTarget, to: textOf(target) }
  const { to, weight, name, backup } = target
  return { to: textOf(to), weight: textOf(weight), name: textOf(name), backup: backup === true }
}

/** As the file wrote them, where nothing was changed; a target that is only a place is written as one. */
function targetsOf({ targets }: Draft, was: readonly Json[]): Json {
  const written = new Map(was.map((target) => [JSON.stringify(targetDraftOf(target)), target]))
  return targets.filter(isWritten).map((target) => {
    const same = written.get(JSON.stringify(target))
    if (same !== undefined) return same
    const [to, weight, name] = [target.to.trim(), target.weight.trim(), target.name.trim()]
    if (weight === '' && name === '' && !target.backup) return numeric(to)
    return {
      to: numeric(to),
      ...(weight !== '' && { weight: numeric(weight) }),
      ...(name !== '' && { name }),
      ...(target.backup && { backup: true }),
    }
  })
}

function targetOf({ target, internalPort, externalPort }: Draft): Json {
  const host = target.trim()
  if (host.startsWith('unix:')) return host
  const port = internalPort.trim() || externalPort.trim()
  return numeric(host === '' ? port : `${bracketed(host)}:${port}`)
}

/** An IPv6 address has two colons and no guest's word before the first. */
function bracketed(host: string): string {
  return /^[\da-f]*:[\da-f.]*:[\da-f:.]*$/i.test(host) ? `[${host}]` : host
}

function textOrNone(text: string): Json | undefined {
  return text.trim() === '' ? undefined : text.trim()
}

function entriesOf(text: string, between: RegExp): Json | undefined {
  const entries = text
    .split(between)
    .map((entry) => entry.trim())
    .filter(Boolean)
  return entries.length > 0 ? entries : undefined
}

/** A member that was named by hand stays named. */
function publishOf(
  { firewall, router, routerPort, guestNat }: Draft,
  was: Json | undefined,
): Json | undefined {
  const before = mapOf(was)
  const member = (hop: 'firewall' | 'router'): Json => {
    const named = before[hop]
    return named === undefined || named === 'off' ? 'auto' : named
  }
  const publish: Record<string, Json> = {
    ...(firewall && { firewall: member('firewall') }),
    ...(router && { router: member('router') }),
    ...(guestNat && { guest: 'nat' }),
    ...(routerPort.trim() !== '' && { externalPort: numeric(routerPort.trim()) }),
  }
  return Object.keys(publish).length > 0 ? publish : undefined
}

function untilOf({ closing, closingTime }: Draft, now: number): Json | undefined {
  const hourMs = 3_600_000
  if (closing === 'never') return undefined
  if (closing === 'hours') return new Date(now + 2 * hourMs).toISOString()
  if (closing === 'day') return new Date(now + 24 * hourMs).toISOString()
  const at = new Date(closingTime)
  return Number.isNaN(at.getTime()) ? closingTime : at.toISOString()
}

/** `2026-12-24T18:00` in this person's time zone. */
function localTime(ms: number): string {
  if (Number.isNaN(ms)) return ''
  const at = new Date(ms)
  return new Date(ms - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}
