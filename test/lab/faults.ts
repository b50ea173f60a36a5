/**
 * The faults that the lab really makes, one at a time: how, and which code the doctor must give as its one root
 * cause. docs/doctor.md is written from this list too.
 */
import { answers, Chain, startService, type ChainOptions } from './chain.ts'
import { homeAddresses } from './router.ts'
import { qemu } from '../../src/guests/qemu/qemu.ts'
import { startGuest, type LabGuest } from './qemu.ts'

export interface Fault {
  readonly code: string
  /** How it is made, for the matrix in the docs. */
  readonly made: string
  readonly chain?: ChainOptions
  /** Makes it on the standing chain. Its answer is undone at the end. */
  readonly make?: (chain: Chain) => Promise<void | (() => void)> | void
}

/** A guest on a cable of its own: 10.5.0.2, seen from the host by 10.5.0.1. */
const withGuest: ChainOptions['before'] = async ({ lab, host }) => {
  const guest = lab.host('guest')
  lab.cable(
    { host, interface: 'vmnet8', addresses: ['10.5.0.1/24'] },
    { host: guest, interface: 'eth0', addresses: ['10.5.0.2/24'] },
  )
  guest.ip('route', 'add', 'default', 'via', '10.5.0.1')
  await startService(guest, '10.5.0.2:80')
}

/** What is above the router is a router itself. */
const forwards: ChainOptions['before'] = ({ internet }) => internet.sysctl('net/ipv4/ip_forward', '1')

/** Of this test process, so that no other's guest is taken for it. */
const guestName = `doctor${process.pid}`
const started: { guest?: LabGuest } = {}

export const faults: readonly Fault[] = [
  { code: 'service-down', made: 'the web server is not started', chain: { service: null } },
  {
    code: 'loopback-only',
    made: 'the web server listens on 127.0.0.1, the rule goes to 192.168.77.10',
    chain: { rule: { target: '192.168.77.10:80' } },
  },
  {
    code: 'wrong-protocol',
    made: 'port 80 is open for UDP, the rule is TCP',
    chain: { service: 'udp:127.0.0.1:80' },
  },
  {
    code: 'address-family',
    made: 'the web server listens on :: with IPV6_V6ONLY, the rule goes to 127.0.0.1',
    chain: { service: ':::80' },
  },
  {
    code: 'port-taken',
    made: 'another program listens on 8888 before Naru does',
    chain: { before: ({ host }) => startService(host, '0.0.0.0:8888').then(() => {}) },
  },
  {
    code: 'address-gone',
    made: 'the rule listens on 192.168.77.11, which is taken away',
    chain: {
      rule: { listen: '192.168.77.11:8888', publish: { firewall: 'auto' } },
      without: ['router'],
      before: ({ host }) => void host.ip('address', 'add', '192.168.77.11/24', 'dev', 'eth0'),
    },
    make: ({ host }) => void host.ip('address', 'delete', '192.168.77.11/24', 'dev', 'eth0'),
  },
  {
    code: 'relay-not-open',
    made: 'firewall and router are open, nobody runs the rule',
    chain: { without: ['relay'] },
  },
  {
    code: 'guest-away',
    made: 'the guest has given up its address',
    chain: {
      rule: { target: '10.5.0.2:80' },
      service: null,
      before: async (place) => {
        await withGuest(place)
      },
    },
    make: (chain) =>
      void chain.lab.hosts.find(({ name }) => name === 'guest')?.ip('address', 'flush', 'dev', 'eth0'),
  },
  {
    code: 'guest-firewall',
    made: 'an nft inside the guest drops port 80',
    chain: {
      rule: { target: '10.5.0.2:80' },
      service: null,
      before: async (place) => {
        await withGuest(place)
        place.lab.hosts
          .find(({ name }) => name === 'guest')
          ?.run(['nft', '-f', '-'], {
            input: dropping('input', ['tcp dport 80 drop', 'icmp type echo-request drop']),
          })
      },
    },
  },
  {
    code: 'guest-forward-missing',
    made: 'QEMU’s forward is removed at its monitor (a real guest, user networking)',
    chain: {
      service: null,
      rule: { target: `qemu:${guestName}:80`, publish: { firewall: 'auto', router: 'auto', guest: 'nat' } },
      guests: [qemu()],
      before: async ({ host }) => {
        started.guest = await startGuest(host, { name: guestName })
      },
    },
    async make(chain) {
      const status = chain.hops.find(({ hop }) => hop === 'guest')
      if (!status || status.problem) throw new Error(`no forward: ${status?.text.en}`)
      const { address, ports } = status.data as unknown as { address: string; ports: { first: number } }
      await started.guest?.monitor(`hostfwd_remove n0 tcp:${address}:${ports.first}`)
    },
  },
  {
    code: 'firewall-profile',
    made: 'firewalld: 8888 is open in the zone home, the card is in public',
    chain: { firewall: 'firewalld', without: ['firewall'] },
    make: (chain) => void chain.firewall?.run(['firewall-cmd', '--zone=home', '--add-port=8888/tcp']),
  },
  {
    code: 'port-sent-on',
    made: 'an old DNAT of nft sends 8888 on to 10.9.9.9:80',
    make(chain) {
      const nat = 'add table ip nat; add chain ip nat prerouting { type nat hook prerouting priority -100; }'
      void chain.host.run(['nft', `${nat}; add rule ip nat prerouting tcp dport 8888 dnat to 10.9.9.9:80`])
    },
  },
  {
    code: 'host-firewall',
    made: 'nft drops by default and no rule lets 8888 in',
    chain: { without: ['firewall'] },
    make: async (chain) => void (await chain.tryFromOutside(8888)),
  },
  {
    code: 'block-rule',
    made: 'nft drops tcp dport 8888 before Naru’s accept',
    make: (chain) =>
      void chain.host.run([
        'nft',
        'insert',
        'rule',
        'inet',
        'filter',
        'input',
        'tcp',
        'dport',
        '8888',
        'drop',
      ]),
  },
  {
    code: 'no-gateway',
    made: 'the default route is deleted',
    make: (chain) => void chain.host.ip('route', 'delete', 'default'),
  },
  {
    code: 'vpn-route',
    made: 'a tun device takes the default route',
    make(chain) {
      chain.host.ip('tuntap', 'add', 'tun0', 'mode', 'tun')
      chain.host.ip('address', 'add', '10.8.0.2/24', 'dev', 'tun0')
      chain.host.ip('link', 'set', 'tun0', 'up')
      chain.host.ip('route', 'add', '0.0.0.0/1', 'dev', 'tun0')
    },
  },
  {
    code: 'asymmetric-return',
    made: 'a client’s network is routed into another card; its SYN hangs in SYN-RECV',
    async make(chain) {
      chain.host.ip('tuntap', 'add', 'spare0', 'mode', 'tap')
      chain.host.ip('link', 'set', 'spare0', 'up')
      chain.host.ip('route', 'add', '11.0.0.0/24', 'dev', 'spare0')
      chain.host.sysctl('net/ipv4/conf/all/rp_filter', '0')
      chain.host.sysctl('net/ipv4/conf/eth0/rp_filter', '0')
      void answers(chain.internet, 'http://11.0.0.2:8888/', 20)
      await until(async () => {
        const sockets = await chain.machine.sockets.list({ signal: AbortSignal.timeout(3000), all: true })
        return sockets.some(({ state, port }) => state === 'syn-received' && port === 8888)
      })
    },
  },
  {
    code: 'router-silent',
    made: 'miniupnpd is stopped: the router forwards packets and answers nothing',
    chain: { without: ['router'] },
    make: (chain) => chain.router.stop(),
  },
  {
    code: 'router-refuses',
    made: 'miniupnpd’s policy denies everything',
    chain: { home: { permissions: ['deny 1-65535 0.0.0.0/0 1-65535'] } },
  },
  {
    code: 'external-port-taken',
    made: 'another device of the LAN has mapped 8888',
    chain: {
      home: { secure: false },
      before: ({ host }) =>
        void host.run([
          'upnpc',
          '-u',
          'http://192.168.77.1:5000/rootDesc.xml',
          '-e',
          'game',
          '-a',
          '192.168.77.99',
          '7777',
          '8888',
          'TCP',
        ]),
    },
  },
  {
    code: 'other-port-granted',
    made: 'the router denies 8888 and NAT-PMP grants another port',
    chain: {
      home: { permissions: ['deny 8888 0.0.0.0/0 1-65535', 'allow 1-65535 0.0.0.0/0 1-65535'] },
      router: 'nat-pmp',
    },
  },
  {
    code: 'mapping-lost',
    made: 'the router restarts and has forgotten everything',
    make: (chain) => chain.router.restart(),
  },
  {
    code: 'address-changed',
    made: 'this machine gets another address by DHCP',
    make(chain) {
      chain.host.ip('address', 'delete', '192.168.77.10/24', 'dev', 'eth0')
      chain.host.ip('address', 'add', '192.168.77.33/24', 'dev', 'eth0')
      chain.host.ip('route', 'replace', 'default', 'via', homeAddresses.router)
    },
  },
  {
    code: 'router-admin-port',
    made: 'the router’s own web page listens on 8888',
    make: async (chain) => void (await startService(chain.router.host, `${homeAddresses.router}:8888`)),
  },
  {
    code: 'client-isolation',
    made: 'on Wi-Fi: the access point passes frames to the gateway, and to no other client',
    chain: {
      rule: { target: '192.168.77.20:80' },
      service: null,
      before({ lab, host, router }) {
        // The other client hangs on a port of its own of the access point, which does not bridge the two.
        const other = lab.host('peer')
        lab.cable(
          { host: other, interface: 'wlan0', addresses: ['192.168.77.20/24'] },
          { host: router.host, interface: 'ap1' },
        )
        host.ip('link', 'set', 'eth0', 'down')
        host.ip('link', 'set', 'eth0', 'name', 'wlan0')
        host.ip('link', 'set', 'wlan0', 'up')
        host.ip('route', 'add', 'default', 'via', homeAddresses.router)
      },
    },
  },
  {
    code: 'double-nat',
    made: 'the router’s WAN address is 192.168.1.2, behind another router',
    chain: { home: { wanAddress: '192.168.1.2', internetAddress: '192.168.1.1' }, before: forwards },
  },
  {
    code: 'carrier-nat',
    made: 'the router’s WAN address is 100.64.0.2',
    chain: { home: { wanAddress: '100.64.0.2', internetAddress: '100.64.0.1' }, before: forwards },
  },
  {
    code: 'provider-blocks',
    made: 'the provider drops 8888 on its way in and lets 9999 pass',
    async make(chain) {
      chain.internet.run(['nft', '-f', '-'], {
        input: dropping('output', ['tcp dport 8888 drop']),
      })
      chain.router.host.run([
        'nft',
        'insert',
        'rule',
        'inet',
        'miniupnpd',
        'prerouting_miniupnpd',
        'iifname',
        'wan',
        'tcp',
        'dport',
        '9999',
        'dnat',
        'ip',
        'to',
        '192.168.77.10:9999',
      ])
      chain.router.host.run([
        'nft',
        'insert',
        'rule',
        'inet',
        'miniupnpd',
        'miniupnpd',
        'tcp',
        'dport',
        '9999',
        'accept',
      ])
      await chain.tryFromOutside(8888)
      await chain.tryFromOutside(9999)
    },
  },
  {
    code: 'pinhole-missing',
    made: 'a client comes by IPv6, the router’s IPv6 firewall drops it',
    make: async (chain) => void (await chain.tryFromOutside(8888, homeAddresses.host6)),
  },
]

function dropping(hook: 'input' | 'output', rules: readonly string[]): string {
  return `table inet faults {
  chain ${hook} {
    type filter hook ${hook} priority 0; policy accept;
    ${rules.join('\n    ')}
  }
}
`
}

/** Looks every 100 ms, for 10 s at most. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('it never came to be')
}

/** Codes whose fault is not made here, and what stands in for it in src/doctor/checks/checks.test.ts. */
export const recorded: Readonly<Record<string, string>> = {
  'nat-service-stopped': 'the output of `sc query` in English and Korean; `pgrep` elsewhere',
  'guest-unseen': 'the hypervisor’s tool is not installed, or the engine does not run',
  'guest-bridged': 'a guest with an address of the LAN, as the hypervisor lists it',
  'rule-loop': 'rules that lead to each other, in a forwarder that carries them',
  'cannot-dial': 'EADDRNOTAVAIL, as both engines meet it where ports are used up and IPv6 is off',
  'reserved-range': 'the output of `netsh int ipv4 show excludedportrange` in Korean',
  'port-privileged': 'a process without the right, as /proc tells it',
  'opening-left': 'openings of nft, iptables, ufw and firewalld that were really saved and restored',
  'security-suite': 'Security Center’s JSON',
  'hyperv-firewall': 'the Hyper-V firewall’s JSON',
  'ssdp-hidden': 'seen as a remark on every chain of the lab, whose nft drops by default',
  'no-hairpin': 'seen as a remark on every chain of the lab, whose router does not turn packets around',
  'router-no-address': 'seen folded under double-nat and carrier-nat in the lab',
  'router-table-full': 'the router’s refusal, and its list',
  'mapping-not-done': 'the router’s "done", and what was read back',
  'outside-silent': 'seen folded under provider-blocks and pinhole-missing in the lab',
  'dns-stale': 'a name with another address',
  'machine-sleeps': 'the output of powercfg in Korean, pmset and gsettings',
}

/** Two faults at once, the inner one first. */
export const pairs: readonly (readonly [string, string])[] = [
  ['service-down', 'block-rule'],
  ['service-down', 'mapping-lost'],
  ['block-rule', 'mapping-lost'],
  ['host-firewall', 'carrier-nat'],
]
