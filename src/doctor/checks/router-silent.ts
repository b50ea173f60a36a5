/** No router here speaks a protocol that opens a port. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, isPublished } from './contract.ts'

export const routerSilent = defineCheck({
  code: 'router-silent',
  hop: 'router',
  title: say('the router answers none of the protocols'),
  explains: say(
    'Asked by PCP, NAT-PMP and UPnP, by unicast at the gateway and by multicast; there is a gateway and no answer.',
  ),
  remedy: say('switch UPnP or NAT-PMP on at the router, or type the forward there by hand'),
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
      evidence: [say`${lan.gateway} answered neither PCP nor NAT-PMP nor UPnP`],
      fixes: [
        {
          text: say`on http://${lan.gateway}/ switch on UPnP (usually WAN → Internet connection, or NAT forwarding → UPnP)`,
        },
        ...(port === null
          ? []
          : [
              {
                instead: true,
                text: say`add there: service name ${rule?.name}, external port ${externalPortOf(subject)}, internal port ${port}, internal address ${lan.address}, protocol ${protocol}`,
                command: `naru router check ${rule?.name}`,
              },
            ]),
      ],
    }
  },
})
