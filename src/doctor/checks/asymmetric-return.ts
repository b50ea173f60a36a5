/** SYNs come in by one way, and our answers leave by another. */
import { isPublic, unmapped } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, listenOf } from './contract.ts'

export const asymmetricReturn = defineCheck({
  code: 'asymmetric-return',
  hop: 'machine',
  title: say('answers leave by another way than they came', '응답이 들어온 길과 다른 길로 나갑니다'),
  explains: say(
    'Connections to the rule’s port hang in SYN-RECV, and the routing table sends their peers by another interface than the LAN’s.',
    '규칙 포트로 온 연결이 SYN-RECV에 머물러 있고, 라우팅 표가 그 상대를 LAN이 아닌 인터페이스로 보냅니다.',
  ),
  remedy: say(
    'a policy route: what came in by the LAN leaves by the LAN',
    '정책 라우팅: LAN으로 들어온 것은 LAN으로 나가게 하세요',
  ),
  dependsOn: ['vpn-route'],
  async look(subject, { signal }) {
    const listen = listenOf(subject)
    const lan = await subject.look.lan()
    if (!listen || !lan) return null
    const sockets = await subject.host.sockets.list({ signal, all: true })
    const half = sockets.filter(
      ({ state, port, peer }) =>
        state === 'syn-received' && peer !== null && port >= listen.ports.first && port <= listen.ports.last,
    )
    for (const { peer, address } of half) {
      const client = unmapped(peer?.address ?? '')
      if (client === '' || unmapped(address) !== lan.address) continue
      const back = await subject.host.network.routeTo(client, { signal })
      if (back?.interface === lan.interface.name) continue
      const where = back?.interface ?? 'nowhere'
      return {
        evidence: [
          say(
            `${client} came in by ${lan.interface.name}, answers go by ${where}${isPublic(client) ? '' : ' (a private address)'}`,
            `${client}{은/는} ${lan.interface.name}{으로/로} 들어왔지만 응답은 ${back ? `${back.interface}{으로/로} 나갑니다` : '갈 곳이 없습니다'}`,
          ),
          say(
            `connections that hang in SYN-RECV: ${half.length}`,
            `연결 ${half.length}개가 SYN-RECV에 머물러 있습니다`,
          ),
        ],
        fixes: [
          {
            text: say('let answers leave where they came in', '들어온 인터페이스로 응답이 나가게 하세요'),
            command: `sudo ip rule add from ${lan.address} table 100 && sudo ip route add default via ${lan.gateway ?? 'GATEWAY'} dev ${lan.interface.name} table 100`,
          },
        ],
      }
    }
    return null
  },
})
