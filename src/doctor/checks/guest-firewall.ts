/** The guest is there, its port is not: a firewall inside it. */
import { formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

export const guestFirewall = defineCheck({
  code: 'guest-firewall',
  hop: 'guest',
  title: say('the guest’s own firewall drops it'),
  explains: say(
    'The guest answers ARP, so it runs and is on the network, but a connection to the port times out or is answered by "prohibited".',
  ),
  remedy: say('open the port inside the guest'),
  dependsOn: ['client-isolation'],
  async look({ look }) {
    const targets = await look.targets()
    const dropped = targets.filter(
      ({ dialled, neighbour, local }) =>
        !local &&
        neighbour === true &&
        dialled !== null &&
        (dialled.result === 'silent' || dialled.result === 'unreachable'),
    )
    return dropped.map(({ addresses, port, dialled, protocol }) => ({
      evidence: [
        say`${addresses[0]} answers ARP; ${formatEndpoint(addresses[0] ?? '', port)} ${dialled?.result === 'silent' ? say('gives no answer') : say`says ${dialled?.errno}`}`,
      ],
      fixes: [
        {
          text: say('in a Linux guest with ufw'),
          command: `sudo ufw allow ${port}/${protocol}`,
        },
        {
          text: say('in a Windows guest, as administrator'),
          command: `New-NetFirewallRule -DisplayName "port ${port}" -Direction Inbound -Action Allow -Protocol ${protocol.toUpperCase()} -LocalPort ${port}`,
        },
      ],
    }))
  },
})
