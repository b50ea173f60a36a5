/** The router forwards to an address that this machine no longer has. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, field, heldAt, isPublished } from './contract.ts'

export const addressChanged = defineCheck({
  code: 'address-changed',
  hop: 'router',
  title: say('our address has changed since the router was told'),
  explains: say(
    'The mapping (ours by its description, or by what Naru holds) points to an address that none of this machine’s interfaces has.',
  ),
  // What the rule listens on is gone: where the router is to lead to then is not known.
  dependsOn: ['address-gone'],
  remedy: say('map anew, and reserve the address in the router’s DHCP'),
  async look(subject) {
    if (!isPublished(subject)) return null
    const own = new Set(
      (await subject.look.interfaces()).flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    )
    const lan = await subject.look.lan()
    const held = field(heldAt(subject, 'router')?.data, 'internalAddress')
    const port = externalPortOf(subject)
    const listed = (await subject.look.routers())
      .flatMap(({ mappings }) => mappings ?? [])
      .find((mapping) => mapping.ours && mapping.externalPort === port)
    // What the router itself has is newer than what we remember.
    const pointsTo = listed?.internalAddress ?? (typeof held === 'string' ? held : null)
    if (pointsTo === null || own.has(pointsTo) || !lan) return null
    return {
      evidence: [say`the router sends port ${port} to ${pointsTo}; this machine is ${lan.address} now`],
      fixes: [
        {
          text: say('map it anew'),
          command: `naru doctor ${subject.rule?.name ?? 'NAME'} --fix`,
          ours: true,
        },
        {
          text: say`on the router’s page: LAN → DHCP → reserve ${lan.address} for ${lan.interface.mac ?? say('this machine')}`,
        },
      ],
    }
  },
})
