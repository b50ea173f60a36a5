/** The guest has an address of the LAN itself: the router could go straight to it. */
import { say } from '../../base/text.ts'
import { defineCheck, isPublished, sameNetwork } from './contract.ts'

export const guestBridged = defineCheck({
  code: 'guest-bridged',
  hop: 'guest',
  severity: 'informs',
  title: say('the guest is on the LAN itself'),
  explains: say(
    'The guest’s address is in the network of the interface that faces the router: its adapter is bridged.',
  ),
  remedy: say('the router can map straight to the guest; through this machine works as well'),
  async look(subject) {
    const lan = await subject.look.lan()
    if (!lan || !isPublished(subject)) return null
    const guests = (await subject.look.targets()).filter(({ guest, local }) => guest !== null && !local)
    return guests.flatMap(({ guest, addresses, port }) => {
      const address = addresses.find((one) => sameNetwork(one, lan.address, lan.bits))
      if (!guest || !address) return []
      return [
        {
          evidence: [
            say`${guest.name} has ${address}, and ${lan.interface.name} is ${lan.address}/${lan.bits}`,
          ],
          fixes: [
            {
              text: say('map straight to it on the router'),
              command: `naru router add ${port} ${address}:${port}`,
            },
          ],
        },
      ]
    })
  },
})
