/** The router has no room for another mapping. */
import { withLimit } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import { defineCheck, problemAt, statusOf } from './contract.ts'

export const routerTableFull = defineCheck({
  code: 'router-table-full',
  hop: 'router',
  title: say('the router’s table is full'),
  explains: say('The router answered UPnP 728, or NAT-PMP/PCP "out of resources".'),
  remedy: say('remove mappings nobody uses'),
  dependsOn: ['double-nat', 'carrier-nat'],
  async look(subject) {
    const status = statusOf(subject, 'router')
    if (!status || problemAt(subject, 'router') !== 'ROUTER_TABLE_FULL') return null
    const mappings = (await subject.look.routers()).flatMap((seen) => seen.mappings ?? [])
    const neighbours = new Set(
      (await subject.host.network.neighbours({ signal: withLimit(undefined, 1000) })).map(
        ({ address }) => address,
      ),
    )
    // Permanent, and for an address that nobody answers at: most likely forgotten.
    const stale = mappings
      .filter(
        ({ leaseSecondsLeft, internalAddress, ours }) =>
          !ours && !leaseSecondsLeft && !neighbours.has(internalAddress),
      )
      .slice(0, 5)
    return {
      evidence: [
        status.text,
        ...stale.map(
          ({ externalPort, protocol, internalAddress, description }) =>
            say`${externalPort}/${protocol} → ${internalAddress} ("${description}") looks forgotten`,
        ),
      ],
      fixes: [
        { text: say('see the table'), command: 'naru router ls' },
        ...stale.map(({ externalPort, protocol }) => ({
          text: say('remove a forgotten one'),
          command: `naru router rm ${externalPort}/${protocol}`,
        })),
      ],
    }
  },
})
