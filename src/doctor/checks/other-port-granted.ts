/** The router opened another external port than was asked for. */
import { say, verbatim } from '../../base/text.ts'
import { defineCheck, field, heldAt, isPublished, listenOf, problemAt, statusOf } from './contract.ts'

export const otherPortGranted = defineCheck({
  code: 'other-port-granted',
  hop: 'router',
  severity: 'warns',
  title: say('the router gave another port'),
  explains: say(
    'The mapping that stands has another external port than the rule asks for (PCP and NAT-PMP may choose).',
  ),
  remedy: say('tell clients the real port, or ask for another'),
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
        say`asked for ${asked}, granted ${shown}`,
        ...(failed ? [statusOf(subject, 'router')?.text ?? verbatim('')] : []),
      ],
      fixes: [
        {
          text: say('take whatever the router gives'),
          command: `naru edit ${rule.name} --external-port any`,
        },
        {
          instead: true,
          text: say('ask for another port'),
          command: `naru edit ${rule.name} --external-port ${asked + 1}`,
        },
      ],
    }
  },
})
