/** The router already forwards that external port to somebody else. */
import { say } from '../../base/text.ts'
import {
  defineCheck,
  externalPortOf,
  heldAt,
  isPublished,
  listenOf,
  problemAt,
  statusOf,
} from './contract.ts'

export const externalPortTaken = defineCheck({
  code: 'external-port-taken',
  hop: 'router',
  title: say('the external port belongs to another device'),
  explains: say(
    'The router answered with a conflict (UPnP 718 or 729), or its list has the port for an address that is not ours.',
  ),
  remedy: say('take another external port, or remove that mapping'),
  async look(subject) {
    const listen = listenOf(subject)
    const status = statusOf(subject, 'router')
    if (!listen || !isPublished(subject) || heldAt(subject, 'router')) return null
    const port = externalPortOf(subject)
    const own = new Set(
      (await subject.look.interfaces()).flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    )
    const other = (await subject.look.routers())
      .flatMap(({ mappings }) => mappings ?? [])
      .find(
        (mapping) =>
          mapping.externalPort === port &&
          listen.protocols.includes(mapping.protocol) &&
          !mapping.ours &&
          !own.has(mapping.internalAddress),
      )
    if (!other && problemAt(subject, 'router') !== 'ROUTER_PORT_TAKEN') return null
    return {
      evidence: [
        other
          ? say`the router sends ${port}/${other.protocol} to ${other.internalAddress}:${other.internalPort} ("${other.description}")`
          : (status?.text ?? say('the router says the port is taken')),
      ],
      fixes: [
        {
          text: say('take another external port'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --external-port ${(port ?? 0) + 1}`,
        },
        {
          instead: true,
          text: say('remove the other mapping, if it is yours to remove'),
          command: `naru router rm ${port}/${other?.protocol ?? 'tcp'}`,
        },
      ],
    }
  },
})
