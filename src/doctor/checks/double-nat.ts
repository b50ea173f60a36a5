/** A second router stands between ours and the internet. */
import { addressRange } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { natAbove } from '../../model/nat-above.ts'
import type { RouterInfo } from '../../routers/contract.ts'
import { defineCheck, hasOutsideAddress, isPublished, problemAt, type Readings } from './contract.ts'

export const doubleNat = defineCheck({
  code: 'double-nat',
  hop: 'router',
  title: say('two routers stand in a row', '공유기 두 대가 이어져 있습니다(이중 NAT)'),
  explains: say(
    'The nearest router’s outside address is private, or PCP answers ADDRESS_MISMATCH: another NAT is above it.',
    '가까운 공유기의 바깥 주소가 사설 주소이거나 PCP가 ADDRESS_MISMATCH로 답합니다. 위에 NAT가 하나 더 있습니다.',
  ),
  remedy: say(
    'map on both, or set the outer one to bridge mode',
    '둘 다 매핑하거나, 바깥 공유기를 브리지 모드로 바꾸세요',
  ),
  async look(subject) {
    const { rule, look } = subject
    if (rule !== null && !isPublished(subject)) return null
    // Mapped through both, it is no fault: the mapping's outside address is one the internet reaches.
    if (hasOutsideAddress(subject)) return null
    const routers = (await look.routers()).flatMap(({ info }) => (info ? [info] : []))
    const lan = await look.lan()
    const { nat, text } = natAbove({ own: lan ? [lan.address] : [], routers, stun: await look.stun() })
    const problem = problemAt(subject, 'router')
    // It has been asked, and does not do it.
    const refused = problem === 'ROUTER_BEHIND_ROUTER'
    const between = refused || problem === 'ROUTER_NAT_BETWEEN'
    const behind = nat === 'unknown' && !between ? await privateHopBehind(look, routers) : null
    if (nat !== 'two-routers' && !between && behind === null) return null
    const inner = routers[0]
    const bridge = say(
      'set the outer one to bridge mode (its page: Operation mode → Bridge)',
      '바깥 공유기를 브리지 모드로 바꾸세요(관리 페이지: 동작 모드 → 브리지)',
    )
    const wan = inner?.externalAddress
    return {
      severity: rule ? 'blocks' : 'warns',
      evidence: [
        behind
          ? say(
              `the router has no public address, and behind it answers ${behind}, a private one`,
              `공유기에 공인 주소가 없고, 그 뒤에서 사설 주소 ${behind}{이/가} 응답합니다`,
            )
          : between
            ? (subject.hops.find(({ hop }) => hop === 'router')?.text ?? text)
            : text,
      ],
      fixes: [
        ...(rule && !refused
          ? [
              {
                text: say('let Naru map on both', 'Naru가 둘 다 매핑하게 하세요'),
                command: `naru doctor ${rule.name} --fix`,
                ours: true,
              },
            ]
          : []),
        { text: rule && !refused ? say(`or ${bridge.en}`, `또는 ${bridge.ko}`) : bridge },
        {
          text: say(
            `or forward by hand on both: the outer one to ${wan ?? 'the inner router’s WAN address'}, the inner one to this machine`,
            `또는 양쪽에 직접 입력하세요: 바깥 공유기에서 ${wan ?? '안쪽 공유기의 WAN 주소'}{으로/로}, 안쪽 공유기에서 이 컴퓨터로`,
          ),
          ...(rule && { command: `naru router check ${rule.name}` }),
        },
      ],
    }
  },
})

/** A router that hides its private outside address (miniupnpd does) is given away by the one behind it. */
async function privateHopBehind(look: Readings, routers: readonly RouterInfo[]): Promise<string | null> {
  if (routers.length === 0 || routers.some(({ externalAddress }) => externalAddress)) return null
  const hop = await look.secondHop()
  return hop && addressRange(hop) === 'private' ? hop : null
}
