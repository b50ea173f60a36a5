/** What a packet filter can forward of a rule: one family, addresses alone, arriving from other machines. */
import { familyOf, type Family } from '../../base/address.ts'
import { portCount } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import type { InetListen } from '../../model/listen.ts'
import type { Rule } from '../../model/rule.ts'
import type { Target } from '../../model/target.ts'
import type { Writing } from './writing.ts'

export type InetTarget = Extract<Target, { kind: 'inet' }>

export interface KernelForward {
  readonly rule: Rule
  readonly listen: InetListen
  /** The first of the rule's targets. */
  readonly to: InetTarget
  readonly targets: readonly InetTarget[]
  readonly family: Family
}

/** Null where it cannot; then the reason was said. */
export function kernelForward(rule: Rule, writing: Writing): KernelForward | null {
  const { listen } = rule
  const targets = rule.targets.map(({ to }) => to).filter((to) => to.kind === 'inet')
  const [to] = targets
  if (listen.kind !== 'inet' || !to) return null
  const family = familyOf(to.host)
  const why = whyNot(listen, targets, family)
  if (why) {
    writing.leaveOut(rule, why.what, why.why)
    return null
  }
  if (listen.address === null)
    writing.lose(
      rule,
      'listen',
      family === 4
        ? say(
            'over IPv4 only, as the kernel does not change the family',
            '커널은 주소 체계를 바꾸지 못하므로 IPv4로만 받습니다',
          )
        : say(
            'over IPv6 only, as the kernel does not change the family',
            '커널은 주소 체계를 바꾸지 못하므로 IPv6로만 받습니다',
          ),
    )
  if (to.host === '127.0.0.1' || to.host === '::1')
    writing.lose(
      rule,
      'target',
      say(
        'the service is reached at this machine’s outer address, so it must listen there too',
        '서비스에 이 컴퓨터의 외부 주소로 연결되므로 서비스가 그 주소에서도 수신해야 합니다',
      ),
    )
  return { rule, listen, to, targets, family }
}

function whyNot(
  listen: InetListen,
  targets: readonly InetTarget[],
  family: Family,
): { what: string; why: Text } | null {
  if (targets.some(({ host }) => familyOf(host) !== family))
    return { what: 'targets', why: say('some are IPv4 and some IPv6', 'IPv4와 IPv6가 섞여 있습니다') }
  if (listen.address !== null && familyOf(listen.address) !== family)
    return {
      what: 'listen',
      why: say('the kernel cannot turn IPv4 into IPv6', '커널은 IPv4와 IPv6를 서로 바꾸지 못합니다'),
    }
  if (/^(?:127\.|::1$)/.test(listen.address ?? ''))
    return {
      what: 'listen',
      why: say(
        'what this machine sends itself does not pass there',
        '이 컴퓨터가 자신에게 보내는 트래픽은 거기를 지나지 않습니다',
      ),
    }
  if (targets.some(({ host }) => host.startsWith('127.') && host !== '127.0.0.1'))
    return {
      what: 'target',
      why: say('the kernel reaches no other loopback address', '커널은 다른 루프백 주소로 보내지 못합니다'),
    }
  if (targets.some(({ host }) => host.includes('%')))
    return { what: 'target', why: say('an address with a zone', '영역(zone)이 붙은 주소입니다') }
  if (
    portCount(listen.ports) > 1 &&
    targets.some(({ ports }) => portCount(ports) > 1 && ports.first !== listen.ports.first) &&
    targets.length > 1
  )
    return {
      what: 'range',
      why: say('a range that moves has one target', '옮겨지는 범위에는 대상이 하나여야 합니다'),
    }
  return null
}
