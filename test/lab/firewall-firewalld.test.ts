import { firewalld } from '../../src/firewalls/linux/firewalld.ts'
import { conformance } from '../conformance/firewall/suite.ts'
import { describeWith } from '../needs.ts'
import { firewalldFirewall } from './firewalls.ts'

const zone = 'my-home'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'firewalld', 'dbus-daemon', 'nsenter'],
} as const

describeWith(needs, 'firewalld, running', () => {
  conformance({
    name: 'firewalld',
    slow: true,
    member: firewalld,
    async start(host) {
      const firewall = await firewalldFirewall(host)
      const permanently = (...words: string[]): string =>
        firewall.run(['firewall-cmd', '--permanent', ...words])
      // Not the default one, and named as people and NetworkManager do.
      permanently(`--new-zone=${zone}`)
      permanently(`--zone=${zone}`, '--add-interface=eth0')
      permanently(`--zone=${zone}`, '--add-rich-rule=rule family="ipv4" source address="10.66.0.0/16" drop')
      firewall.run(['firewall-cmd', '--reload'])
      return firewall
    },
    lose: (firewall) => void firewall.run(['firewall-cmd', '--reload']),
    block: (firewall, port) =>
      // The second one comes after ours and stands before it.
      void firewall.run([
        'firewall-cmd',
        `--zone=${zone}`,
        `--add-rich-rule=rule priority="${port === 8866 ? -100 : -32_000}" port port="${port}" protocol="tcp" drop`,
      ]),
    changes: /--add-rich-rule/,
    programs: 10,
    byHand: 'sudo firewall-cmd --add-rich-rule=',
  })
})
