/** Can the kernel carry this rule on this machine? The first "no" is told, with what would make it a yes. */
import { addressRange, familyOf, canonicalAddress } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import { mayAdministerNetwork, type Facts } from '../../model/facts.ts'
import type { Rule } from '../../model/rule.ts'
import { targetsItself } from '../../relay/loop.ts'
import type { Interface } from '../../host/contract.ts'
import { unreadable, type Others } from '../../host/simulate/index.ts'
import { noOfSessions } from './masquerade.ts'
import { noOfAddress } from './target.ts'
import type { Support } from '../../model/support.ts'

export function supports(rule: Rule, facts: Facts): Support {
  const why = noOfMachine(facts) ?? noOfPath(rule) ?? noOfPolicy(rule)
  if (why) return { ok: false, why }
  return {
    ok: true,
    why: say('nftables carries it in the kernel', 'nftables가 커널 안에서 바로 전달합니다'),
  }
}

function noOfMachine(facts: Facts): Text | null {
  if (facts.platform !== 'linux') return say('nftables is Linux only', 'nftables는 Linux에만 있습니다')
  if (!mayAdministerNetwork(facts))
    return say(
      'changing nftables needs root or CAP_NET_ADMIN',
      'nftables를 바꾸려면 root 또는 CAP_NET_ADMIN 권한이 필요합니다',
    )
  for (const tool of ['nft', 'conntrack', 'ip'])
    if (!facts.tools[tool]) return say(`${tool} is not installed`, `${tool}{이/가} 설치되어 있지 않습니다`)
  // Reject in prerouting came with 5.9, counters in maps with 5.11.
  const [major = 0, minor = 0] = facts.kernel.split('.').map((part) => Number.parseInt(part, 10))
  if (major < 5 || (major === 5 && minor < 11))
    return say(
      `Linux ${facts.kernel} is older than 5.11`,
      `Linux ${facts.kernel}{은/는} 5.11보다 오래되었습니다`,
    )
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
): (rule: Rule) => Promise<Text | null> {
  return async (rule) => {
    const no = await noOfMachineNow(others)
    // A firewall may have gone within that second; only whoever names the engine is refused by it.
    const why = no && rule.engine === 'kernel' ? await noOfMachineNow(others, 'askAnew') : no
    return why ?? noOfSessions(rule, interfaces)
  }
}

const bothFamilies = say(
  'clients over IPv4 and IPv6 cannot both reach one target in the kernel; listen on 0.0.0.0 for IPv4 alone',
  '커널은 IPv4와 IPv6 클라이언트를 한 대상으로 함께 보낼 수 없습니다. IPv4만 받으려면 0.0.0.0으로 지정하세요',
)

const everyIpv6 = say(
  'the kernel forwards no client with a link-local address, nor this machine’s own ::1; listen on one IPv6 address',
  '커널은 링크 로컬 주소의 클라이언트와 이 컴퓨터의 ::1을 전달하지 못합니다. IPv6 주소 하나로 지정하세요',
)

export function noOfPath({ listen, targets }: Rule): Text | null {
  if (listen.kind === 'unix' || targets.some(({ to }) => to.kind === 'unix'))
    return say('Unix sockets are outside the kernel’s NAT', 'Unix 소켓은 커널 NAT로 전달할 수 없습니다')
  const itself = targets.find(({ to }) => targetsItself(listen, to))
  if (itself) return say('its target is its own listen', '대상이 이 규칙이 수신 대기하는 주소입니다')
  if (listen.address === null) return bothFamilies
  // RFC 4291 §2.5.6: a router forwards no packet with a link-local source, nor one from ::1.
  if (listen.address === '::') return everyIpv6
  if (addressRange(listen.address) === 'loopback')
    return say('a listen on loopback is carried in user space', '루프백 수신은 사용자 공간에서 처리합니다')
  if (listen.address.includes('%') || addressRange(listen.address) === 'linkLocal')
    return say('a link-local listen is carried in user space', '링크 로컬 수신은 사용자 공간에서 처리합니다')
  const [target] = targets
  if (targets.length !== 1 || !target)
    return say(
      'choosing among several targets is done in user space',
      '여러 대상 중에서 고르는 일은 사용자 공간에서 합니다',
    )
  const address = target.to.kind === 'inet' ? canonicalAddress(target.to.host) : null
  if (address === null) return null
  const unfit = noOfAddress(address)
  if (unfit) return unfit
  return familyOf(address) === familyOf(listen.address)
    ? null
    : say('the kernel does not turn IPv4 into IPv6 or back', '커널은 IPv4와 IPv6를 서로 바꾸지 못합니다')
}

function noOfPolicy(rule: Rule): Text | null {
  const { limits, timeouts, source, targets, health, acceptProxy } = rule
  if (source === 'proxy-v1' || source === 'proxy-v2' || acceptProxy.length > 0)
    return say('PROXY headers are written and read in user space', 'PROXY 헤더는 사용자 공간에서 읽고 씁니다')
  if (targets.some(({ name }) => name !== null))
    return say(
      'names are read from the stream in user space',
      '이름은 사용자 공간에서 데이터를 읽어 구분합니다',
    )
  if (health !== null) return say('health is checked in user space', '상태 검사는 사용자 공간에서 합니다')
  if (limits.connections !== null || limits.perSource !== null)
    return say(
      'conntrack counts a connection for minutes after its end, and puts out no silent session for a newer one',
      'conntrack은 연결이 끝나고도 몇 분 동안 그 연결을 세고, 새 세션을 위해 조용한 세션을 내보내지 않습니다',
    )
  if (limits.newPerSecond !== null)
    return say(
      'the kernel counts first packets, which anybody can send in another’s name, and not connections',
      '커널은 연결이 아니라 남의 주소로도 보낼 수 있는 첫 패킷을 셉니다',
    )
  if (limits.bytesPerSecond !== null)
    return say(
      'nftables polices packets, it does not pace a rule’s bandwidth',
      'nftables는 규칙의 대역폭을 고르게 조절하지 못합니다',
    )
  if (timeouts.idleMs > 0)
    return say('the kernel cannot end an idle connection', '커널은 유휴 연결을 끊지 못합니다')
  return null
}
