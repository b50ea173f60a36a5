import { firewalldFirewall } from '../../lab/firewalls.ts'
import { port, tellStory } from './story.ts'

tellStory({
  name: 'firewalld',
  commands: ['firewall-cmd', 'firewalld'],
  rewrites: true,
  start: (home) => firewalldFirewall(home.host),
  takeRuleOut(firewall) {
    const rules = firewall.run(['firewall-cmd', '--list-rich-rules']).split('\n')
    const ours = rules.filter((line) => line.includes(port))
    if (ours.length === 0) throw new Error('firewalld has no such rule')
    for (const rule of ours) firewall.run(['firewall-cmd', `--remove-rich-rule=${rule}`])
  },
})
