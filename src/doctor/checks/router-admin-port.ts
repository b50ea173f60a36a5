/** The router itself listens on the port that is to be forwarded. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, isPublished, listenOf } from './contract.ts'

export const routerAdminPort = defineCheck({
  code: 'router-admin-port',
  hop: 'router',
  severity: 'warns',
  title: say('the router’s own page is on that port'),
  explains: say(
    'A connection to the gateway’s address and the external port is answered: the router serves something of its own there (or has it open to the outside), and many then ignore the forward.',
  ),
  remedy: say('move the router’s page, or take another external port'),
  async look(subject) {
    const port = externalPortOf(subject)
    const listen = listenOf(subject)
    if (port === null || !isPublished(subject) || !listen?.protocols.includes('tcp')) return null
    const gateway = (await subject.look.lan())?.gateway
    if (!gateway || (await subject.look.dial(gateway, port)).result !== 'connected') return null
    // A router that forwards LAN clients too answers for us: that is no page of its own.
    const forwarded = (await subject.look.routers()).some(({ mappings }) =>
      mappings?.some((mapping) => mapping.externalPort === port),
    )
    if (forwarded) {
      const wan = (await subject.look.routers()).map(({ info }) => info?.externalAddress).find(Boolean)
      if (wan && (await subject.look.dial(wan, port)).result === 'connected') return null
    }
    return {
      evidence: [say`${gateway}:${port} answers by itself`],
      fixes: [
        {
          text: say('take another external port'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --external-port ${port + 8000 > 65_535 ? 8888 : port + 8000}`,
        },
        {
          instead: true,
          text: say`move the page: http://${gateway}/ → Administration → System → port`,
        },
      ],
    }
  },
})
