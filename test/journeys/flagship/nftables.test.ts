import { nftFirewall } from '../../lab/firewalls.ts'
import { port, tellStory } from './story.ts'

tellStory({
  name: 'nftables',
  commands: ['nft'],
  start: (home) => nftFirewall(home.host),
  takeRuleOut(firewall) {
    const listed = firewall.run(['nft', '-a', 'list', 'chain', 'inet', 'filter', 'input'])
    const handle = new RegExp(`dport ${port} .*# handle (\\d+)`).exec(listed)?.[1]
    firewall.run(['nft', 'delete', 'rule', 'inet', 'filter', 'input', 'handle', String(handle)])
  },
})
