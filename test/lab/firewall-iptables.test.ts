import { iptables } from '../../src/firewalls/linux/iptables.ts'
import { conformance } from '../conformance/firewall/suite.ts'
import { describeWith } from '../needs.ts'
import { iptablesFirewall, iptablesTools, type LabFirewall } from './firewalls.ts'

for (const kind of ['iptables-nft', 'iptables-legacy'] as const) {
  describeWith(
    { root: true, platform: 'linux', commands: ['ip', kind] },
    `${kind} that drops by default`,
    () => {
      conformance({
        name: kind,
        member: iptables,
        start: (host) =>
          iptablesFirewall(host, kind, [[kind, '-A', 'INPUT', '-p', 'tcp', '--dport', '22', '-j', 'ACCEPT']]),
        lose: (firewall, port) => loseRules(firewall, iptablesTools(kind), port),
        block: (firewall, port) =>
          void firewall.run([kind, '-I', 'INPUT', '-p', 'tcp', '--dport', String(port), '-j', 'REJECT']),
        changes: /tables-(nft|legacy)-restore [^]*\n-[IA] /,
        programs: 12,
        byHand: 'sudo iptables -I INPUT -p tcp --dport 8888',
      })
    },
  )
}

/** Saved, filtered, restored: what a script that writes all rules anew does. */
function loseRules(firewall: LabFirewall, tools: readonly string[], port: number): void {
  for (const tool of tools) {
    const kept = firewall
      .run([`${tool}-save`])
      .split('\n')
      .filter((line) => !line.includes(`--dport ${port}`))
    firewall.run([`${tool}-restore`], kept.join('\n'))
  }
}
