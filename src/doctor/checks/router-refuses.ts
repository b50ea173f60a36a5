/** The router will not open this port for this machine. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, problemAt, statusOf } from './contract.ts'

export const routerRefuses = defineCheck({
  code: 'router-refuses',
  hop: 'router',
  title: say('the router refuses to open the port', '공유기가 포트를 열어 주지 않습니다'),
  explains: say(
    'The router answered with a refusal (UPnP 606, NAT-PMP 2, PCP NOT_AUTHORIZED): its policy denies this device or this port.',
    '공유기가 거부 응답(UPnP 606, NAT-PMP 2, PCP NOT_AUTHORIZED)을 보냈습니다. 이 기기나 포트를 허용하지 않는 정책입니다.',
  ),
  remedy: say(
    'allow this device on the router’s page, or take a higher port',
    '공유기 관리 페이지에서 이 기기를 허용하거나 더 높은 포트를 쓰세요',
  ),
  dependsOn: ['double-nat', 'carrier-nat'],
  async look(subject) {
    const status = statusOf(subject, 'router')
    if (!status || problemAt(subject, 'router') !== 'ROUTER_REFUSED') return null
    const page = (await subject.look.routers().catch(() => []))
      .map(({ info }) => info?.presentationUrl)
      .find(Boolean)
    const port = externalPortOf(subject) ?? 0
    const name = subject.rule?.name ?? 'NAME'
    return {
      evidence: [status.text],
      fixes: [
        {
          text: say(
            `allow this device under UPnP on ${page ?? 'the router’s page'}`,
            `${page ?? '공유기 관리 페이지'}의 UPnP 설정에서 이 기기를 허용하세요`,
          ),
        },
        {
          text: say('or take a high external port', '또는 높은 외부 포트를 쓰세요'),
          command: `naru edit ${name} --external-port ${port < 1024 ? port + 8000 : 'PORT'}`,
        },
        {
          text: say(
            'or type the row by hand: this shows what to type, and verifies it',
            '또는 직접 입력하세요. 입력할 값을 보여 주고 확인합니다',
          ),
          command: `naru router check ${name}`,
        },
      ],
    }
  },
})
