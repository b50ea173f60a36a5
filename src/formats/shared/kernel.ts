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
        ? say('over IPv4 only, as the kernel does not change the family')
        : say('over IPv6 only, as the kernel does not change the family'),
    )
  if (to.host === '127.0.0.1' || to.host === '::1')
    writing.lose(
      rule,
      'target',
      say('the service is reached at this machine’s outer address, so it must listen there too'),
    )
  return { rule, listen, to, targets, family }
}

function whyNot(
  listen: InetListen,
  targets: readonly InetTarget[],
  family: Family,
): { what: string; why: Text } | null {
  if (targets.some(({ host }) => familyOf(host) !== family))
    return { what: 'targets', why: say('some are IPv4 and some IPv6') }
  if (listen.address !== null && familyOf(listen.address) !== family)
    return {
      what: 'listen',
      why: say('the kernel cannot turn IPv4 into IPv6'),
    }
  if (/^(?:127\.|::1$)/.test(listen.address ?? ''))
    return {
      what: 'listen',
      why: say('what this machine sends itself does not pass there'),
    }
  if (targets.some(({ host }) => host.startsWith('127.') && host !== '127.0.0.1'))
    return {
      what: 'target',
      why: say('the kernel reaches no other loopback address'),
    }
  if (targets.some(({ host }) => host.includes('%')))
    return { what: 'target', why: say('an address with a zone') }
  if (
    portCount(listen.ports) > 1 &&
    targets.some(({ ports }) => portCount(ports) > 1 && ports.first !== listen.ports.first) &&
    targets.length > 1
  )
    return {
      what: 'range',
      why: say('a range that moves has one target'),
    }
  return null
}
