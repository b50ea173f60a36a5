/** The firewall of this machine drops what comes in, since no rule lets it in. */
import { say } from '../../base/text.ts'
import { outsiderText } from '../../model/diagnosis.ts'
import type { Fix } from '../../model/finding.ts'
import { blockedByDefault, defineCheck, listenOf, type CheckSubject } from './contract.ts'

export const hostFirewall = defineCheck({
  code: 'host-firewall',
  hop: 'firewall',
  title: say('the host firewall drops it'),
  explains: say(
    'Walks the ruleset as a packet to the rule’s port would: no rule accepts it and the policy drops. From outside it looks like a time-out although the SYN arrives.',
  ),
  remedy: say('add a tagged allow rule for the port'),
  dependsOn: ['firewall-profile', 'port-sent-on'],
  async look(subject) {
    const answer = await subject.look.admission()
    const seen = subject.outside.find(({ result, synsSeen }) => result === 'silent' && (synsSeen ?? 0) > 0)
    const firewall = await subject.look.firewall()
    if (answer?.verdict !== 'blocked' || !blockedByDefault(firewall?.member, answer)) return null
    const { port, protocol, by, why } = answer
    return {
      severity: isReachedFromOutside(subject) ? 'blocks' : 'warns',
      // It is opened together with the relay.
      dependsOn: subject.rule?.publish.firewall === 'off' ? [] : ['relay-not-open'],
      evidence: [
        say`${protocol} port ${port}: ${by} (${why})`,
        ...(seen
          ? [say`${seen.synsSeen} SYN arrived from ${outsiderText(seen.who)}, and it got no answer`]
          : []),
      ],
      fixes: [byNaru(subject), ...byHand(firewall?.member.id ?? '', { protocol, port, by })],
    }
  },
})

function isReachedFromOutside(subject: CheckSubject): boolean {
  const listen = listenOf(subject)
  return listen !== null && listen.address !== '127.0.0.1' && listen.address !== '::1'
}

/** A rule that asks for it already was opened where packets do not come in any more, such as firewalld's zone of before. */
function byNaru({ rule }: CheckSubject): Fix {
  const name = rule?.name ?? 'NAME'
  const ours = rule !== null
  if (rule !== null && rule.publish.firewall !== 'off')
    return {
      text: say('open it again, where packets come in now'),
      command: `naru doctor ${name} --fix`,
      ours,
    }
  return {
    text: say('let Naru open it'),
    command: `naru edit ${name} --firewall`,
    ours,
  }
}

interface Blocked {
  readonly protocol: string
  readonly port: number
  readonly by: string
}

function byHand(member: string, { protocol, port, by }: Blocked): Fix[] {
  // Without a zone firewall-cmd changes the default one, which need not be the one that blocks.
  const [, zone] = /(?:^|[ _])IN_([\w-]{1,17}?)(?:_(?:pre|log|deny|allow|post))?:/.exec(by) ?? []
  const commands: Record<string, string> = {
    ufw: `sudo ufw allow ${port}/${protocol}`,
    firewalld: `sudo firewall-cmd${zone === undefined ? '' : ` --zone=${zone}`} --add-port=${port}/${protocol}`,
    nftables: `sudo nft insert rule inet filter input ${protocol} dport ${port} accept`,
    iptables: `sudo iptables -I INPUT -p ${protocol} --dport ${port} -j ACCEPT`,
    windows: `New-NetFirewallRule -DisplayName "port ${port}" -Direction Inbound -Action Allow -Protocol ${protocol.toUpperCase()} -LocalPort ${port} -Profile Any`,
  }
  const command = commands[member]
  return command ? [{ instead: true, text: say('by hand'), command }] : []
}
