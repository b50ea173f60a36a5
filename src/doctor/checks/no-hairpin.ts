/** A test from inside the LAN against the public address fails, which says nothing of the outside. */
import { formatEndpoint, isPublic } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, heldAt, isPublished, listenOf, type CheckSubject } from './contract.ts'

export const noHairpin = defineCheck({
  code: 'no-hairpin',
  hop: 'router',
  severity: 'informs',
  title: say('the public address does not work from inside'),
  explains: say(
    'Connects to the router’s public address from here. An answer proves that the mapping works; no answer proves nothing, since many routers do not turn packets around (hairpin).',
  ),
  remedy: say('test from outside; at home use the private address'),
  async look(subject) {
    const port = externalPortOf(subject)
    const listen = listenOf(subject)
    if (
      port === null ||
      !isPublished(subject) ||
      !heldAt(subject, 'router') ||
      !listen?.protocols.includes('tcp')
    )
      return null
    const wan = (await subject.look.routers())
      .map(({ info }) => info?.externalAddress)
      .find((address) => address && isPublic(address))
    if (!wan || (await subject.look.dial(wan, port)).result === 'connected') return null
    const lan = await subject.look.lan()
    return {
      evidence: [
        say`${formatEndpoint(wan, port)} gives no answer from here; that says nothing of the outside`,
      ],
      fixes: [
        // Once somebody came in from there, that is done.
        ...(subject.outside.some(({ result }) => result === 'answered') ? [] : [fromOutside(subject)]),
        ...(lan
          ? [
              {
                text: say`at home use ${formatEndpoint(lan.address, listen.ports.first)}`,
              },
            ]
          : []),
      ],
    }
  },
})

function fromOutside({ rule }: CheckSubject) {
  return {
    text: say('test from outside'),
    command: `naru doctor ${rule?.name ?? 'NAME'} --from-phone`,
  }
}
