/** Can the kernel carry this rule on this machine? The first "no" is told, with what would make it a yes. */
import { addressRange, familyOf, canonicalAddress } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import { mayAdministerNetwork, type Facts } from '../../model/facts.ts'
import type { Rule } from '../../model/rule.ts'
import { targetsItself } from '../../relay/loop.ts'
import type { Interface } from '../../host/contract.ts'
import { unreadable, type Others } from '../../host/simulate/index.ts'
import type { Bridges } from './bridges.ts'
import { noOfSessions } from './masquerade.ts'
import { noOfAddress } from './target.ts'
import type { Support } from '../../model/support.ts'

export function supports(rule: Rule, facts: Facts): Support {
  const why = noOfMachine(facts) ?? noOfPath(rule) ?? noOfPolicy(rule)
  if (why) return { ok: false, why }
  return {
    ok: true,
    why: say('nftables carries it in the kernel'),
  }
}

function noOfMachine(facts: Facts): Text | null {
  if (facts.platform !== 'linux') return say('nftables is Linux only')
  if (!mayAdministerNetwork(facts)) return say('changing nftables needs root or CAP_NET_ADMIN')
  for (const tool of ['nft', 'conntrack', 'ip']) if (!facts.tools[tool]) return say`${tool} is not installed`
  // Reject in prerouting came with 5.9, counters in maps with 5.11.
  const [major = 0, minor = 0] = facts.kernel.split('.').map((part) => Number.parseInt(part, 10))
  if (major < 5 || (major === 5 && minor < 11)) return say`Linux ${facts.kernel} is older than 5.11`
  return null
}

/**
 * What is redirected in the kernel never meets what a connection to this machine meets (INPUT, OUTPUT, the routes of
 * this machine's own packets), and meets FORWARD in its place. The rule's clients must fare as those of a plain
 * listener do, so nobody else may decide here.
 */
export function noOfMachineNow(others: Others, how: 'ask' | 'askAnew' = 'ask'): Promise<Text | null> {
  return others[how]().catch(unreadable)
}

/** Asked before a rule is opened; where it is, `noOfMachineNow` is asked again. */
export function obstacleOn(
  others: Others,
  interfaces: () => Promise<readonly Interface[]>,
  bridges: Pick<Bridges, 'noOf'>,
): (rule: Rule) => Promise<Text | null> {
  return async (rule) => {
    const no = await noOfMachineNow(others)
    // A firewall may have gone within that second; only whoever names the engine is refused by it.
    const why = no && rule.engine === 'kernel' ? await noOfMachineNow(others, 'askAnew') : no
    return why ?? (await noOfBridges(rule, bridges)) ?? noOfSessions(rule, interfaces)
  }
}

/** Of a name or a guest it is known once it is resolved: `aim` asks then. */
async function noOfBridges({ targets }: Rule, bridges: Pick<Bridges, 'noOf'>): Promise<Text | null> {
  const to = targets[0]?.to
  const address = to?.kind === 'inet' ? canonicalAddress(to.host) : null
  return address === null ? null : bridges.noOf(address)
}

const bothFamilies = say(
  'clients over IPv4 and IPv6 cannot both reach one target in the kernel; listen on 0.0.0.0 for IPv4 alone',
)

const everyIpv6 = say(
  'the kernel forwards no client with a link-local address, nor this machine’s own ::1; listen on one IPv6 address',
)

export function noOfPath({ listen, targets }: Rule): Text | null {
  if (listen.kind === 'unix' || targets.some(({ to }) => to.kind === 'unix'))
    return say('Unix sockets are outside the kernel’s NAT')
  const itself = targets.find(({ to }) => targetsItself(listen, to))
  if (itself) return say('its target is its own listen')
  if (listen.address === null) return bothFamilies
  // RFC 4291 §2.5.6: a router forwards no packet with a link-local source, nor one from ::1.
  if (listen.address === '::') return everyIpv6
  if (addressRange(listen.address) === 'loopback') return say('a listen on loopback is carried in user space')
  if (listen.address.includes('%') || addressRange(listen.address) === 'linkLocal')
    return say('a link-local listen is carried in user space')
  const [target] = targets
  if (targets.length !== 1 || !target) return say('choosing among several targets is done in user space')
  const address = target.to.kind === 'inet' ? canonicalAddress(target.to.host) : null
  if (address === null) return null
  const unfit = noOfAddress(address)
  if (unfit) return unfit
  return familyOf(address) === familyOf(listen.address)
    ? null
    : say('the kernel does not turn IPv4 into IPv6 or back')
}

function noOfPolicy(rule: Rule): Text | null {
  const { limits, timeouts, source, targets, health, acceptProxy } = rule
  if (source === 'proxy-v1' || source === 'proxy-v2' || acceptProxy.length > 0)
    return say('PROXY headers are written and read in user space')
  if (targets.some(({ name }) => name !== null)) return say('names are read from the stream in user space')
  if (health !== null) return say('health is checked in user space')
  if (limits.connections !== null || limits.perSource !== null)
    return say(
      'conntrack counts a connection for minutes after its end, and puts out no silent session for a newer one',
    )
  if (limits.newPerSecond !== null)
    return say(
      'the kernel counts first packets, which anybody can send in another’s name, and not connections',
    )
  if (limits.bytesPerSecond !== null)
    return say('nftables polices packets, it does not pace a rule’s bandwidth')
  if (timeouts.idleMs > 0) return say('the kernel cannot end an idle connection')
  return null
}
