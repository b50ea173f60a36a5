/** The Wi-Fi lets its clients reach the router and not each other. */
import { say } from '../../base/text.ts'
import { defineCheck, sameNetwork } from './contract.ts'

export const clientIsolation = defineCheck({
  code: 'client-isolation',
  hop: 'machine',
  title: say('the Wi-Fi isolates its clients', 'Wi-Fi가 기기 간 통신을 막고 있습니다(게스트 Wi-Fi·AP 격리)'),
  explains: say(
    'We are on Wi-Fi, the gateway answers ARP, and neither the target nor any other device of the network does.',
    'Wi-Fi에 연결되어 있고 게이트웨이는 ARP에 응답하지만, 대상도 같은 네트워크의 다른 기기도 응답하지 않습니다.',
  ),
  remedy: say('use the main network, or switch isolation off', '기본 네트워크를 쓰거나 격리를 끄세요'),
  async look(subject, { signal }) {
    const lan = await subject.look.lan()
    if (!lan?.gateway || lan.interface.kind !== 'wifi') return null
    const silent = (await subject.look.targets()).filter(
      ({ local, neighbour, addresses }) =>
        !local && neighbour === false && addresses.some((one) => sameNetwork(one, lan.address, lan.bits)),
    )
    if (silent.length === 0) return null
    const neighbours = (await subject.host.network.neighbours({ signal })).filter(
      (entry) => entry.interface === lan.interface.name && !entry.address.includes(':'),
    )
    if (!neighbours.some(({ address }) => address === lan.gateway) || neighbours.length > 1) return null
    return {
      evidence: [
        say(
          `on ${lan.interface.name} only the gateway ${lan.gateway} answers; ${silent[0]?.addresses[0]} does not`,
          `${lan.interface.name}에서 게이트웨이 ${lan.gateway}만 응답하고 ${silent[0]?.addresses[0]}{은/는} 응답하지 않습니다`,
        ),
      ],
      fixes: [
        {
          text: say(
            'join the main Wi-Fi, not the guest network',
            '게스트 네트워크가 아니라 기본 Wi-Fi에 연결하세요',
          ),
        },
        {
          text: say(
            `or on http://${lan.gateway}/: Wireless → Professional → "Set AP isolated": No`,
            `또는 http://${lan.gateway}/ → 무선 → 전문 설정 → "AP 격리": 아니요`,
          ),
        },
      ],
    }
  },
})
