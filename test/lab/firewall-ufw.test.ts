import { ufw } from '../../src/firewalls/linux/ufw.ts'
import { conformance } from '../conformance/firewall/suite.ts'
import { describeWith } from '../needs.ts'
import { ufwFirewall } from './firewalls.ts'

describeWith({ root: true, platform: 'linux', commands: ['ip', 'ufw', 'nsenter'] }, 'ufw, enabled', () => {
  conformance({
    name: 'ufw',
    slow: true,
    member: ufw,
    async start(host) {
      const firewall = await ufwFirewall(host)
      firewall.run(['ufw', 'allow', '22/tcp', 'comment', 'the way in'])
      firewall.run(['ufw', 'deny', 'from', '10.66.0.0/16'])
      return firewall
    },
    lose: (firewall, port) =>
      void firewall.run([
        'ufw',
        '--force',
        'delete',
        'allow',
        'proto',
        'tcp',
        'to',
        'any',
        'port',
        String(port),
      ]),
    block: (firewall, port) =>
      void firewall.run([
        'ufw',
        'prepend',
        'reject',
        'proto',
        'tcp',
        'from',
        'any',
        'port',
        '1024:65535',
        'to',
        'any',
        'port',
        String(port),
      ]),
    changes: /^ufw (insert \d+ )?allow/,
    byHand: 'sudo ufw allow proto tcp to any port 8888',
  })
})
