/** No router here speaks a protocol that opens a port. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, isPublished } from './contract.ts'

export const routerSilent = defineCheck({
  code: 'router-silent',
  hop: 'router',
  title: say(
    'the router answers none of the protocols',
    '공유기가 자동 포트 열기(UPnP, NAT-PMP, PCP)에 응답하지 않습니다',
  ),
  explains: say(
    'Asked by PCP, NAT-PMP and UPnP, by unicast at the gateway and by multicast; there is a gateway and no answer.',
    '게이트웨이가 있는데도 PCP, NAT-PMP, UPnP(유니캐스트와 멀티캐스트)에 모두 응답이 없습니다.',
  ),
  remedy: say(
    'switch UPnP or NAT-PMP on at the router, or type the forward there by hand',
    '공유기에서 UPnP나 NAT-PMP를 켜거나, 포트 포워딩을 직접 입력하세요',
  ),
  dependsOn: ['no-gateway', 'vpn-route'],
  async look(subject) {
    if (subject.routers.length === 0 || (subject.rule !== null && !isPublished(subject))) return null
    const lan = await subject.look.lan()
    if (!lan?.gateway) return null
    const held = subject.hops.some(({ hop, state }) => hop === 'router' && state === 'ok')
    if (held || (await subject.look.routers()).length > 0) return null
    const { rule } = subject
    const port = rule?.listen.kind === 'inet' ? rule.listen.ports.first : null
    const protocol = rule?.listen.kind === 'inet' ? rule.listen.protocols.join('+').toUpperCase() : 'TCP'
    return {
      severity: rule ? 'blocks' : 'warns',
      evidence: [
        say(
          `${lan.gateway} answered neither PCP nor NAT-PMP nor UPnP`,
          `${lan.gateway}에서 PCP, NAT-PMP, UPnP 응답이 모두 없습니다`,
        ),
      ],
      fixes: [
        {
          text: say(
            `on http://${lan.gateway}/ switch on UPnP (usually WAN → Internet connection, or NAT forwarding → UPnP)`,
            `http://${lan.gateway}/ 에서 UPnP를 켜세요(보통 WAN → 인터넷 연결, 또는 고급 설정 → NAT/라우터 관리 → UPnP)`,
          ),
        },
        ...(port === null
          ? []
          : [
              {
                text: say(
                  `or add there: service name ${rule?.name}, external port ${externalPortOf(subject)}, internal port ${port}, internal address ${lan.address}, protocol ${protocol}`,
                  `또는 직접 추가: 서비스 이름 ${rule?.name}, 외부 포트 ${externalPortOf(subject)}, 내부 포트 ${port}, 내부 IP ${lan.address}, 프로토콜 ${protocol}`,
                ),
                command: `naru router check ${rule?.name}`,
              },
            ]),
      ],
    }
  },
})
