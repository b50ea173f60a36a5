import { nftables } from '../../src/firewalls/linux/nftables.ts'
import { conformance } from '../conformance/firewall/suite.ts'
import { describeWith } from '../needs.ts'
import { nftDefaultDrop, nftFirewall } from './firewalls.ts'

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'nft'] },
  'nftables that drops by default',
  () => {
    conformance({
      name: 'nftables',
      member: nftables,
      start: (host) => nftFirewall(host, ['ip saddr 10.66.0.0/16 drop', 'tcp dport 22 accept']),
      lose(firewall) {
        firewall.run(
          ['nft', '-f', '-'],
          `flush ruleset\n${nftDefaultDrop(['ip saddr 10.66.0.0/16 drop', 'tcp dport 22 accept'])}`,
        )
      },
      block: (firewall, port) =>
        void firewall.run(['nft', `insert rule inet filter input tcp dport ${port} drop`]),
      changes: /nft -f - (add|insert) rule/,
      programs: 7,
      byHand: "sudo nft 'insert rule inet filter input tcp dport 8888 accept",
    })
  },
)
