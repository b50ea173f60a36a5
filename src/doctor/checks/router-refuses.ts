/** The router will not open this port for this machine. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, problemAt, statusOf } from './contract.ts'

export const routerRefuses = defineCheck({
  code: 'router-refuses',
  hop: 'router',
  title: say('the router refuses to open the port'),
  explains: say(
    'The router answered with a refusal (UPnP 606, NAT-PMP 2, PCP NOT_AUTHORIZED): its policy denies this device or this port.',
  ),
  remedy: say('allow this device on the router’s page, or take a higher port'),
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
          text: say`allow this device under UPnP on ${page ?? say('the router’s page')}`,
        },
        {
          instead: true,
          text: say('take a high external port'),
          command: `naru edit ${name} --external-port ${port < 1024 ? port + 8000 : 'PORT'}`,
        },
        {
          instead: true,
          text: say('type the row by hand: this shows what to type, and verifies it'),
          command: `naru router check ${name}`,
        },
      ],
    }
  },
})
