/** The Wi-Fi lets its clients reach the router and not each other. */
import { say } from '../../base/text.ts'
import { defineCheck, sameNetwork } from './contract.ts'

export const clientIsolation = defineCheck({
  code: 'client-isolation',
  hop: 'machine',
  title: say('the Wi-Fi isolates its clients'),
  explains: say(
    'We are on Wi-Fi, the gateway answers ARP, and neither the target nor any other device of the network does.',
  ),
  remedy: say('use the main network, or switch isolation off'),
  async look(subject, { signal }) {
    const lan = await subject.look.lan()
    if (!lan?.gateway || lan.interface.kind !== 'wifi') return null
    const silent = (await subject.look.targets()).filter(
      ({ local, neighbour, addresses }) =>
        !local && neighbour === false && addresses.some((one) => sameNetwork(one, lan.address, lan.bits)),
    )
    if (silent.length === 0) return null
    const neighbours = (await subject.host.network.neighbours({ signal })).filter(
      (entry) => entry.interface === lan.interface.name && !entry.address.includes(':'),
    )
    if (!neighbours.some(({ address }) => address === lan.gateway) || neighbours.length > 1) return null
    return {
      evidence: [
        say`on ${lan.interface.name} only the gateway ${lan.gateway} answers; ${silent[0]?.addresses[0]} does not`,
      ],
      fixes: [
        {
          text: say('join the main Wi-Fi, not the guest network'),
        },
        {
          instead: true,
          text: say`on http://${lan.gateway}/: Wireless → Professional → "Set AP isolated": No`,
        },
      ],
    }
  },
})
