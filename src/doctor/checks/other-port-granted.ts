/** The router opened another external port than was asked for. */
import { say } from '../../base/text.ts'
import { defineCheck, field, heldAt, isPublished, listenOf, problemAt, statusOf } from './contract.ts'

export const otherPortGranted = defineCheck({
  code: 'other-port-granted',
  hop: 'router',
  severity: 'warns',
  title: say('the router gave another port', '공유기가 다른 포트를 열었습니다'),
  explains: say(
    'The mapping that stands has another external port than the rule asks for (PCP and NAT-PMP may choose).',
    '매핑된 외부 포트가 규칙이 요청한 포트와 다릅니다(PCP와 NAT-PMP는 공유기가 고를 수 있습니다).',
  ),
  remedy: say(
    'tell clients the real port, or ask for another',
    '클라이언트에게 실제 포트를 알려 주거나 다른 포트를 요청하세요',
  ),
  cheap: true,
  look(subject) {
    const { rule } = subject
    const listen = listenOf(subject)
    if (!rule || !listen || !isPublished(subject) || rule.publish.externalPort === 'any') return null
    const asked = rule.publish.externalPort ?? listen.ports.first
    const failed = problemAt(subject, 'router') === 'ROUTER_OTHER_PORT'
    const granted = field(heldAt(subject, 'router')?.data, 'externalPort')
    if (!failed && (typeof granted !== 'number' || granted === asked)) return null
    const shown = typeof granted === 'number' ? String(granted) : '—'
    return {
      severity: failed ? ('blocks' as const) : ('warns' as const),
      evidence: [
        say(`asked for ${asked}, granted ${shown}`, `요청한 포트 ${asked}, 열린 포트 ${shown}`),
        ...(failed ? [statusOf(subject, 'router')?.text ?? say('', '')] : []),
      ],
      fixes: [
        {
          text: say('take whatever the router gives', '공유기가 주는 포트를 쓰세요'),
          command: `naru edit ${rule.name} --external-port any`,
        },
        {
          text: say('or ask for another port', '또는 다른 포트를 요청하세요'),
          command: `naru edit ${rule.name} --external-port ${asked + 1}`,
        },
      ],
    }
  },
})
