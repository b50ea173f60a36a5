import { ufwFirewall } from '../../lab/firewalls.ts'
import { port, tellStory } from './story.ts'

tellStory({
  name: 'ufw',
  commands: ['ufw'],
  rewrites: true,
  start: (home) => ufwFirewall(home.host),
  takeRuleOut(firewall) {
    const said = firewall.run([
      'ufw',
      '--force',
      'delete',
      'allow',
      'proto',
      'tcp',
      'to',
      'any',
      'port',
      port,
    ])
    if (said.includes('non-existent')) throw new Error(said)
  },
})
