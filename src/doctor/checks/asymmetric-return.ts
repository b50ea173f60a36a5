/** SYNs come in by one way, and our answers leave by another. */
import { isPublic, unmapped } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, listenOf } from './contract.ts'

export const asymmetricReturn = defineCheck({
  code: 'asymmetric-return',
  hop: 'machine',
  title: say('answers leave by another way than they came'),
  explains: say(
    'Connections to the rule’s port hang in SYN-RECV, and the routing table sends their peers by another interface than the LAN’s.',
  ),
  remedy: say('a policy route: what came in by the LAN leaves by the LAN'),
  dependsOn: ['vpn-route'],
  async look(subject, { signal }) {
    const listen = listenOf(subject)
    const lan = await subject.look.lan()
    if (!listen || !lan) return null
    const sockets = await subject.host.sockets.list({ signal, all: true })
    const half = sockets.filter(
      ({ state, port, peer }) =>
        state === 'syn-received' && peer !== null && port >= listen.ports.first && port <= listen.ports.last,
    )
    for (const { peer, address } of half) {
      const client = unmapped(peer?.address ?? '')
      if (client === '' || unmapped(address) !== lan.address) continue
      const back = await subject.host.network.routeTo(client, { signal })
      if (back?.interface === lan.interface.name) continue
      return {
        evidence: [
          say`${client} came in by ${lan.interface.name}, answers go ${back ? say`by ${back.interface}` : say('by nowhere')}${isPublic(client) ? '' : ' (a private address)'}`,
          say`connections that hang in SYN-RECV: ${half.length}`,
        ],
        fixes: [
          {
            text: say('let answers leave where they came in'),
            command: `sudo ip rule add from ${lan.address} table 100 && sudo ip route add default via ${lan.gateway ?? 'GATEWAY'} dev ${lan.interface.name} table 100`,
          },
        ],
      }
    }
    return null
  },
})
