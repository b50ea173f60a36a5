/** Somebody's NAT on this machine takes what comes to the port before the relay could: nobody else ever meets it. */
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

export const portSentOn = defineCheck({
  code: 'port-sent-on',
  hop: 'firewall',
  title: say('another NAT rule of this machine takes the port'),
  explains: say(
    'Walks the ruleset as a packet would: before a listener is asked, a rule of somebody else sends the port to another address or port (an old forward of iptables, a container’s published port). The relay listens and hears nobody but this machine.',
  ),
  remedy: say('remove that rule, or choose another port'),
  async look({ look }) {
    const answer = await look.admission()
    if (!answer?.sentOn) return null
    const { protocol, port, sentOn } = answer
    const [, iptables] = /^(ip6?tables(?:-legacy)?) /.exec(sentOn.by) ?? []
    return {
      severity: 'blocks',
      evidence: [say`${protocol} port ${port} goes on to ${sentOn.to}, by: ${sentOn.by}`],
      fixes: [
        {
          text: say(
            'see who made it, and remove it there or let this rule listen on another port; Naru leaves rules alone that are not its own',
          ),
          command: iptables ? `sudo ${iptables} -t nat -S` : 'sudo nft -a list ruleset',
        },
      ],
    }
  },
})
