/** The guest hop: where the hypervisor must forward, or the user wants it to. Dialled directly, a guest needs no hop. */
import { NaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { say } from '../../base/text.ts'
import type { Resolve } from '../../engines/contract.ts'
import type { GuestMember } from '../../guests/contract.ts'
import type { Host } from '../../host/contract.ts'
import type { Rule } from '../../model/rule.ts'
import type { Target } from '../../model/target.ts'
import { keyOf, type Wanted } from './wanted.ts'

type GuestTarget = Extract<Target, { kind: 'guest' }>

export interface GuestTools {
  readonly host: Host
  readonly guests: readonly GuestMember[]
}

/** Null where the relay dials the guest itself. @throws NaruError GUEST_… where there is no such guest */
export async function wantGuest(rule: Rule, tools: GuestTools, signal: AbortSignal): Promise<Wanted | null> {
  const target = rule.targets.map(({ to }) => to).find((to): to is GuestTarget => to.kind === 'guest')
  if (!target || rule.listen.kind !== 'inet') return null
  const member = memberFor(target, tools)
  const asked = rule.publish.guest === 'nat'
  if (!asked && (await member.reach(target.name, { host: tools.host, signal })) === 'direct') return null
  const protocol = rule.listen.protocols[0] ?? 'tcp'
  const ports = formatPortRange(target.ports)
  return {
    hop: 'guest',
    member: member.kind,
    what: say(
      `forward to port ${ports} of ${target.name} by ${member.kind}`,
      `${member.kind}이(가) ${target.name}의 ${ports}번 포트로 전달`,
    ),
    why: asked
      ? say('the rule says guest: nat', '규칙에 guest: nat이라고 적혀 있습니다')
      : say(
          'this machine has no way to the guest’s own address',
          '이 컴퓨터에서 게스트 주소로 직접 갈 수 없습니다',
        ),
    needs: null,
    key: keyOf(member.kind, target, protocol),
    replace: 'close-first',
    open: ({ signal, record }) =>
      member.open(
        {
          rule: rule.name,
          name: target.name,
          protocol,
          hostAddress: null,
          hostPorts: null,
          guestPorts: target.ports,
        },
        { host: tools.host, signal, record },
      ),
  }
}

/** Addresses of a guest for whoever dials it. */
export function resolveGuests(tools: GuestTools, resolveName: Resolve): Resolve {
  return async (target, options) => {
    if (target.kind !== 'guest') return resolveName(target, options)
    return memberFor(target, tools).resolve(target.name, { host: tools.host, signal: options.signal })
  }
}

function memberFor(target: GuestTarget, { guests }: GuestTools): GuestMember {
  const member = guests.find(({ kind }) => kind === target.guest)
  if (member) return member
  throw new NaruError('VALUE_INVALID', {
    what: 'target',
    value: `${target.guest}:${target.name}`,
    why: say(
      `guests of the kind ${target.guest} are not known here`,
      `${target.guest} 게스트는 지원하지 않습니다`,
    ),
  })
}
