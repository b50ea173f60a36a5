/** A rule that blocks this very port beats the rule that allows it. */
import { say } from '../../base/text.ts'
import { blockedByDefault, defineCheck } from './contract.ts'

export const blockRule = defineCheck({
  code: 'block-rule',
  hop: 'firewall',
  title: say('a block rule beats the allow rule', '차단 규칙이 허용 규칙보다 앞섭니다'),
  explains: say(
    'Walks the ruleset as a packet would: the rule that decides is one that drops or rejects this port or its sources. On Windows a block always wins, also the one that "Cancel" in the prompt left behind.',
    '패킷처럼 규칙을 따라가 봅니다. 이 포트나 출발지를 직접 차단하는 규칙이 결정합니다. Windows에서는 차단이 항상 우선하며, 알림 창에서 "취소"를 누르면 생기는 차단 규칙도 마찬가지입니다.',
  ),
  remedy: say('remove that block rule', '그 차단 규칙을 지우세요'),
  dependsOn: ['port-sent-on'],
  async look({ look }) {
    const answer = await look.admission()
    const member = (await look.firewall())?.member
    if (answer?.verdict !== 'blocked' || blockedByDefault(member, answer)) return null
    const { protocol, port, by } = answer
    const show: Record<string, string> = {
      ufw: 'sudo ufw status numbered',
      firewalld: 'sudo firewall-cmd --list-all',
      nftables: 'sudo nft -a list ruleset',
      iptables: 'sudo iptables -S INPUT',
      windows:
        'Get-NetFirewallRule -Direction Inbound -Action Block -Enabled True | Format-Table Name,DisplayName',
    }
    const command = show[member?.id ?? '']
    return {
      evidence: [
        say(`${protocol} port ${port} is blocked by: ${by}`, `${protocol} ${port}번을 막는 규칙: ${by}`),
      ],
      fixes: [
        {
          text: say(
            'find it and remove it; Naru leaves rules alone that are not its own',
            '찾아서 지우세요. Naru는 자기 것이 아닌 규칙을 건드리지 않습니다',
          ),
          ...(command ? { command } : {}),
        },
      ],
    }
  },
})
