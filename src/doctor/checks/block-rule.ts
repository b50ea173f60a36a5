/** A rule that blocks this very port beats the rule that allows it. */
import { say } from '../../base/text.ts'
import { blockedByDefault, defineCheck } from './contract.ts'

export const blockRule = defineCheck({
  code: 'block-rule',
  hop: 'firewall',
  title: say('a block rule beats the allow rule'),
  explains: say(
    'Walks the ruleset as a packet would: the rule that decides is one that drops or rejects this port or its sources. On Windows a block always wins, also the one that "Cancel" in the prompt left behind.',
  ),
  remedy: say('remove that block rule'),
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
      evidence: [say`${protocol} port ${port} is blocked by: ${by}`],
      fixes: [
        {
          text: say('find it and remove it; Naru leaves rules alone that are not its own'),
          ...(command ? { command } : {}),
        },
      ],
    }
  },
})
