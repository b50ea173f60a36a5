/** By IPv6 there is no NAT, but the router's firewall lets nothing in without a pinhole. */
import { isPublic } from '../../base/address.ts'
import { formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, isPublished, listenOf } from './contract.ts'

export const pinholeMissing = defineCheck({
  code: 'pinhole-missing',
  hop: 'router',
  title: say('the router lets no IPv6 in', '공유기가 IPv6 접속을 막고 있습니다'),
  explains: say(
    'Clients come by IPv6 (a name has our AAAA, or a test from outside went there), and no SYN arrives: the router’s IPv6 firewall has no pinhole for the port.',
    '클라이언트가 IPv6로 오는데(이름에 AAAA가 있거나 바깥 시험이 IPv6) SYN이 도착하지 않습니다. 공유기 IPv6 방화벽에 핀홀이 없습니다.',
  ),
  remedy: say(
    'open a pinhole (AddPinhole, PCP), or allow the port under IPv6 firewall',
    '핀홀을 열거나(AddPinhole, PCP), 공유기의 IPv6 방화벽에서 포트를 허용하세요',
  ),
  async look(subject) {
    const listen = listenOf(subject)
    if (!listen || !isPublished(subject) || (listen.address !== null && !listen.address.includes(':')))
      return null
    const silent = subject.outside.find(
      ({ to, port, result, synsSeen }) =>
        to.includes(':') && port === listen.ports.first && result === 'silent' && synsSeen === 0,
    )
    if (!silent) return null
    const own = (await subject.look.interfaces()).flatMap(({ addresses }) =>
      addresses.filter(({ family, address }) => family === 6 && isPublic(address)),
    )
    if (!own.some(({ address }) => address === silent.to)) return null
    return {
      evidence: [
        say(
          `${silent.by} tried ${formatEndpoint(silent.to, silent.port)}: no SYN arrived`,
          `${silent.by}에서 ${formatEndpoint(silent.to, silent.port)} 시도: SYN이 도착하지 않음`,
        ),
      ],
      fixes: [
        {
          text: say('let Naru ask for a pinhole', 'Naru가 핀홀을 요청하게 하세요'),
          command: `naru doctor ${subject.rule?.name ?? 'NAME'} --fix`,
          ours: true,
        },
        {
          text: say(
            `or on the router: Firewall → IPv6 Firewall → allow ${listen.protocols.join('+')} ${listen.ports.first} to ${silent.to}`,
            `또는 공유기: 방화벽 → IPv6 방화벽 → ${silent.to}의 ${listen.protocols.join('+')} ${listen.ports.first} 허용`,
          ),
        },
      ],
    }
  },
})
