/** The guest is there, its port is not: a firewall inside it. */
import { formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

export const guestFirewall = defineCheck({
  code: 'guest-firewall',
  hop: 'guest',
  title: say('the guest’s own firewall drops it', '게스트 안의 방화벽이 막고 있습니다'),
  explains: say(
    'The guest answers ARP, so it runs and is on the network, but a connection to the port times out or is answered by "prohibited".',
    '게스트가 ARP에는 응답하므로 켜져 있고 네트워크에도 있지만, 그 포트로의 연결은 시간 초과되거나 "금지" 응답을 받습니다.',
  ),
  remedy: say('open the port inside the guest', '게스트 안에서 포트를 여세요'),
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
        say(
          `${addresses[0]} answers ARP; ${formatEndpoint(addresses[0] ?? '', port)} ${dialled?.result === 'silent' ? 'gives no answer' : `says ${dialled?.errno}`}`,
          `${addresses[0]}{은/는} ARP에 응답하지만 ${formatEndpoint(addresses[0] ?? '', port)}{은/는} ${dialled?.result === 'silent' ? '응답이 없습니다' : `${dialled?.errno}{을/를} 돌려줍니다`}`,
        ),
      ],
      fixes: [
        {
          text: say('in a Linux guest with ufw', 'Linux 게스트(ufw)에서'),
          command: `sudo ufw allow ${port}/${protocol}`,
        },
        {
          text: say('in a Windows guest, as administrator', 'Windows 게스트에서(관리자)'),
          command: `New-NetFirewallRule -DisplayName "port ${port}" -Direction Inbound -Action Allow -Protocol ${protocol.toUpperCase()} -LocalPort ${port}`,
        },
      ],
    }))
  },
})
