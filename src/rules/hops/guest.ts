/** The guest hop: where the hypervisor must forward, or the user wants it to. Dialled directly, a guest needs no hop. */
import { NaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { say, sayOf } from '../../base/text.ts'
import type { Resolve } from '../../engines/contract.ts'
import type { GuestForwardRequest, GuestLease, GuestMember } from '../../guests/contract.ts'
import type { Host } from '../../host/contract.ts'
import type { Hop, Lease, Recorder } from '../../model/hop.ts'
import type { Rule } from '../../model/rule.ts'
import type { Target } from '../../model/target.ts'
import { resolveGuest } from '../../machine/guest-addresses.ts'
import { keyOf, type DesiredHop } from './desired.ts'

type GuestTarget = Extract<Target, { kind: 'guest' }>

export interface GuestTools {
  readonly host: Host
  readonly guests: readonly GuestMember[]
}

/**
 * Null where the relay dials every guest itself. @throws NaruError GUEST_…, NOT_PERMITTED where there is no such guest,
 * or its hypervisor would not forward
 */
export async function desireGuest(
  rule: Rule,
  tools: GuestTools,
  signal: AbortSignal,
): Promise<DesiredHop | null> {
  const [target, other] = await behindNat(rule, tools, signal)
  if (!target || rule.listen.kind !== 'inet') return null
  if (other) throw oneGuestOnly(target)
  const [protocol = 'tcp', second] = rule.listen.protocols
  if (second) throw oneProtocolOnly(target)
  const member = memberFor(target, tools)
  const request = {
    rule: rule.name,
    name: target.name,
    protocol,
    hostAddress: null,
    hostPorts: null,
    guestPorts: target.ports,
  }
  await wouldOpen(member, request, { host: tools.host, signal })
  const ports = formatPortRange(target.ports)
  return {
    hop: 'guest',
    member: member.kind,
    what: say`forward to port ${ports} of ${target.name} by ${member.kind}`,
    why: rule.publish.guest === 'nat' ? say('the rule says guest: nat') : noWayThere,
    needs: null,
    key: keyOf(member.kind, target, protocol),
    replace: 'close-first',
    async open({ signal, record }) {
      const lease = await member.open(request, { host: tools.host, signal, record })
      return rule.publish.guest === 'nat' ? lease : inPlaceOfDirect(lease)
    },
  }
}

const noWayThere = say('this machine has no way to the guest’s own address')

/** `direct` was to be, and its hypervisor forwards in place of that: the lease says so. */
function inPlaceOfDirect(lease: GuestLease): GuestLease {
  return {
    leadsTo: lease.leadsTo,
    host: lease.host,
    goodUntil: lease.goodUntil,
    renewAfter: lease.renewAfter,
    describe() {
      const { text, ...told } = lease.describe()
      return { ...told, text: sayOf('sentences')`${text}; ${noWayThere}` }
    },
    verify: (options) => lease.verify(options),
    renew: (options) => lease.renew(options),
    release: (options) => lease.release(options),
  }
}

/** Where a hypervisor listens in that target's place; null where the target itself is dialled. */
export function forwardFor(target: Target, inner: ReadonlyMap<Hop, Lease>): GuestLease['host'] | null {
  const lease = inner.get('guest')
  if (target.kind !== 'guest' || !lease || !('leadsTo' in lease)) return null
  const { host, leadsTo } = lease as GuestLease
  return leadsTo.kind === target.guest && leadsTo.name === target.name ? host : null
}

/** The guests of a rule that the relay does not dial itself, each once. */
async function behindNat(
  { targets, publish }: Rule,
  tools: GuestTools,
  signal: AbortSignal,
): Promise<GuestTarget[]> {
  const guests = targets.map(({ to }) => to).filter((to): to is GuestTarget => to.kind === 'guest')
  const each = [...new Map(guests.map((to) => [JSON.stringify(to), to])).values()]
  const ways = await Promise.all(each.map((to) => reachOf(to, { publish }, tools, signal)))
  return each.filter((_, index) => ways[index] === 'nat')
}

/** @throws NaruError GUEST_… where there is no such guest, or nobody who knows */
export async function reachOf(
  target: GuestTarget,
  { publish }: Pick<Rule, 'publish'>,
  tools: GuestTools,
  signal: AbortSignal,
): Promise<'direct' | 'nat'> {
  const way = await memberFor(target, tools).reach(target.name, { host: tools.host, signal })
  return publish.guest === 'nat' ? 'nat' : way
}

/** Thrown by the journal of `wouldOpen`: everything before the first change went well. */
const goingToChange = new Error('something is about to be changed')
const stopBeforeChange: Recorder = { intend: () => Promise.reject(goingToChange) }

/**
 * A member writes down what it is about to do before it does it: with a journal that stops there, opening is asking.
 * @throws NaruError what `open` would say no with
 */
async function wouldOpen(
  member: GuestMember,
  request: GuestForwardRequest,
  options: { host: Host; signal: AbortSignal },
): Promise<void> {
  try {
    // Resolves where the forward is there already: nothing is held then.
    await member.open(request, { ...options, record: stopBeforeChange })
  } catch (error) {
    if (error !== goingToChange) throw error
  }
}

function oneGuestOnly({ guest: kind, name }: GuestTarget): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('a rule leads to one guest behind its hypervisor’s NAT'),
    fix: say('make a rule for each'),
  })
}

function oneProtocolOnly({ guest: kind, name }: GuestTarget): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('its forward carries one protocol'),
    fix: say('make a rule for TCP and one for UDP'),
  })
}

/** Addresses of a guest for whoever dials it. */
export function resolveGuests(tools: GuestTools, resolveName: Resolve): Resolve {
  return async (target, options) => {
    if (target.kind !== 'guest') return resolveName(target, options)
    const { host } = tools
    return resolveGuest(memberFor(target, tools), target.name, { host, signal: options.signal })
  }
}

function memberFor(target: GuestTarget, { guests }: GuestTools): GuestMember {
  const member = guests.find(({ kind }) => kind === target.guest)
  if (member) return member
  throw new NaruError('VALUE_INVALID', {
    what: 'target',
    value: `${target.guest}:${target.name}`,
    why: say`guests of the kind ${target.guest} are not known here`,
  })
}
