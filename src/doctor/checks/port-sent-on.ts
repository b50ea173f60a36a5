/** Somebody's NAT on this machine takes what comes to the port before the relay could: nobody else ever meets it. */
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

export const portSentOn = defineCheck({
  code: 'port-sent-on',
  hop: 'firewall',
  title: say(
    'another NAT rule of this machine takes the port',
    '이 컴퓨터의 다른 NAT 규칙이 포트를 가져갑니다',
  ),
  explains: say(
    'Walks the ruleset as a packet would: before a listener is asked, a rule of somebody else sends the port to another address or port (an old forward of iptables, a container’s published port). The relay listens and hears nobody but this machine.',
    '패킷처럼 규칙을 따라가 봅니다. 수신 프로그램에 닿기 전에 다른 규칙(예전 iptables 포워딩, 컨테이너가 공개한 포트)이 이 포트를 다른 주소나 포트로 보냅니다. 릴레이가 수신하고 있어도 이 컴퓨터에서 온 연결밖에 받지 못합니다.',
  ),
  remedy: say('remove that rule, or choose another port', '그 규칙을 지우거나 다른 포트를 쓰세요'),
  async look({ look }) {
    const answer = await look.admission()
    if (!answer?.sentOn) return null
    const { protocol, port, sentOn } = answer
    const [, iptables] = /^(ip6?tables(?:-legacy)?) /.exec(sentOn.by) ?? []
    return {
      severity: 'blocks',
      evidence: [
        say(
          `${protocol} port ${port} goes on to ${sentOn.to}, by: ${sentOn.by}`,
          `${protocol} ${port}번은 ${sentOn.to}{으로/로} 넘어갑니다: ${sentOn.by}`,
        ),
      ],
      fixes: [
        {
          text: say(
            'see who made it, and remove it there or let this rule listen on another port; Naru leaves rules alone that are not its own',
            '누가 만들었는지 확인해 거기서 지우거나 이 규칙의 수신 포트를 바꾸세요. Naru는 자기 것이 아닌 규칙을 건드리지 않습니다',
          ),
          command: iptables ? `sudo ${iptables} -t nat -S` : 'sudo nft -a list ruleset',
        },
      ],
    }
  },
})
