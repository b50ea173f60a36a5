/** What leaves for the internet goes into a VPN, so answers to outside clients do not go back by the router. */
import { say } from '../../base/text.ts'
import { defineCheck, isPublished, listenOf, otherWayOut, type CheckSubject } from './contract.ts'

export const vpnRoute = defineCheck({
  code: 'vpn-route',
  hop: 'machine',
  title: say('the way out is not by the router', '인터넷으로 나가는 경로가 공유기가 아닙니다'),
  explains: say(
    'The routing table sends packets for the internet into a VPN or VM adapter, or the rule listens on an address that the router cannot reach.',
    '라우팅 표가 인터넷 패킷을 VPN이나 VM 어댑터로 보내거나, 규칙이 공유기에서 닿을 수 없는 주소에서 접속을 받습니다.',
  ),
  remedy: say(
    'listen on the LAN’s address, and let the VPN leave answers alone',
    'LAN 주소에서 접속을 받고, VPN이 응답 경로를 바꾸지 않게 하세요',
  ),
  cheap: true,
  async look(subject, { signal }) {
    const lan = await subject.look.lan()
    if (!lan || (subject.rule !== null && !isPublished(subject))) return null
    const out = await otherWayOut(subject, signal)
    if (out) {
      return {
        severity: isPublished(subject) ? 'blocks' : 'warns',
        evidence: [
          say(
            `packets to the internet leave by ${out.name} (${out.kind}), not by ${lan.interface.name}`,
            `인터넷 패킷이 ${lan.interface.name}{이/가} 아니라 ${out.name}(${out.kind}){으로/로} 나갑니다`,
          ),
        ],
        fixes: [
          {
            text: say('answers must leave where they came in', '들어온 인터페이스로 응답이 나가게 하세요'),
            command: `sudo ip rule add from ${lan.address} table 100 && sudo ip route add default via ${lan.gateway ?? 'GATEWAY'} dev ${lan.interface.name} table 100`,
          },
          {
            text: say(
              'or take the VPN’s "redirect all traffic" off',
              '또는 VPN의 "모든 트래픽 우회"를 끄세요',
            ),
          },
        ],
      }
    }
    return wrongAddress(subject, lan)
  },
})

async function wrongAddress(
  subject: CheckSubject,
  lan: NonNullable<Awaited<ReturnType<CheckSubject['look']['lan']>>>,
) {
  const wanted = listenOf(subject)?.address
  if (!wanted || wanted.includes(':') || wanted === '0.0.0.0' || wanted === lan.address) return null
  const other = (await subject.look.interfaces()).find(({ addresses }) =>
    addresses.some(({ address }) => address === wanted),
  )
  if (other?.name === lan.interface.name) return null
  return {
    evidence: [
      say(
        `the rule listens on ${wanted}${other ? ` (${other.name})` : ''}; the router reaches ${lan.address} (${lan.interface.name})`,
        `규칙은 ${wanted}${other ? `(${other.name})` : ''}에서 접속을 받지만, 공유기가 닿는 주소는 ${lan.address}(${lan.interface.name})입니다`,
      ),
    ],
    fixes: [
      {
        text: say('listen on the LAN', 'LAN 주소에서 접속을 받으세요'),
        command: `naru edit ${subject.rule?.name ?? 'NAME'} --listen ${lan.address}:${listenOf(subject)?.ports.first}`,
        ours: subject.rule !== null,
      },
    ],
  }
}
