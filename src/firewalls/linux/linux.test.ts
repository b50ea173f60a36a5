import { describe, expect, it } from 'vitest'
import { fakeHost, type Answering } from '../../../test/fakes/host.ts'
import { detectFirewall } from '../index.ts'
import { parseZone } from './firewalld.ts'
import { isSame, parseUfwRules, ufwText, ufwWords, type UfwEntry } from './ufw-rules.ts'

const signal = AbortSignal.timeout(60_000)

describe('which firewall decides', () => {
  const dropping = JSON.stringify({
    nftables: [
      {
        chain: {
          family: 'inet',
          table: 'filter',
          name: 'input',
          type: 'filter',
          hook: 'input',
          prio: 0,
          policy: 'drop',
        },
      },
    ],
  })
  const detected = async (run: Answering, platform: NodeJS.Platform = 'linux'): Promise<string> =>
    (await detectFirewall({ host: fakeHost({ run, facts: { platform } }), signal })).id

  it('is whoever manages the chains before the chains themselves', async () => {
    const everything: Answering = ([tool, first]) => {
      if (tool === 'firewall-cmd') return 'running\n'
      if (tool === 'cat') return 'ENABLED=yes\n'
      return tool === 'nft' && first === '-j' ? dropping : ''
    }
    expect(await detected(everything)).toBe('firewalld')
    expect(
      await detected((argv, options) =>
        argv[0] === 'firewall-cmd' ? { exit: 252 } : everything(argv, options),
      ),
    ).toBe('ufw')
    const native: Answering = (argv, options) => (argv[0] === 'nft' ? everything(argv, options) : { exit: 1 })
    expect(await detected(native)).toBe('nftables')
  })

  it('is none where nothing filters', async () => {
    expect(await detected(() => undefined)).toBe('none')
    expect(await detected(() => undefined, 'freebsd')).toBe('none')
  })

  it('is taken for nftables where nobody may look', async () => {
    const refused: Answering = ([tool]) =>
      tool === 'nft' ? { exit: 1, stderr: 'Operation not permitted (you must be root)' } : { exit: 1 }
    expect(await detected(refused)).toBe('nftables')
  })
})

describe("ufw's own list", () => {
  const file = `### RULES ###

### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=7373682068657265
-A ufw-user-input -p tcp --dport 22 -j ACCEPT

### tuple ### limit tcp 2222 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 2222 -m conntrack --ctstate NEW -m recent --set
-A ufw-user-input -p tcp --dport 2222 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 -j ufw-user-limit
-A ufw-user-input -p tcp --dport 2222 -j ufw-user-limit-accept

### tuple ### deny_log any 53 10.1.0.1 any 10.0.0.0/8 in_eth0
-A ufw-user-input -i eth0 -p tcp -d 10.1.0.1 --dport 53 -s 10.0.0.0/8 -j DROP
-A ufw-user-input -i eth0 -p udp -d 10.1.0.1 --dport 53 -s 10.0.0.0/8 -j DROP

### tuple ### route:allow tcp 80 172.17.0.2 any 0.0.0.0/0 in
-A ufw-user-forward -p tcp -d 172.17.0.2 --dport 80 -j ACCEPT

### END RULES ###

### LOGGING ###
-A ufw-user-input -j LOG
`
  const rules = parseUfwRules(file, 4)
  const entry: UfwEntry = {
    route: false,
    family: 4,
    protocol: 'tcp',
    ports: '22',
    from: null,
    to: null,
    sourcePorts: 'any',
  }

  it('is read with the lines that each rule makes', () => {
    expect(rules.map(({ lines }) => lines)).toEqual([1, 3, 2, 1])
    expect(rules.map(ufwText)).toEqual([
      "ufw allow in proto tcp from any to any port 22 comment 'ssh here'",
      'ufw limit in proto tcp from any to any port 2222',
      'ufw deny log in on eth0 from 10.0.0.0/8 to 10.1.0.1 port 53',
      'ufw route allow in proto tcp from any to 172.17.0.2 port 80',
    ])
  })

  it('knows which rule ufw would replace: any action, the same packet', () => {
    expect(rules.filter((rule) => isSame(rule, entry))).toHaveLength(1)
    expect(rules.filter((rule) => isSame(rule, { ...entry, ports: '2222' }))).toHaveLength(1)
    expect(rules.filter((rule) => isSame(rule, { ...entry, sourcePorts: '1:65535' }))).toEqual([])
    expect(rules.filter((rule) => isSame(rule, { ...entry, ports: '80', to: '172.17.0.2' }))).toEqual([])
  })

  it('is changed by these very words', () => {
    expect(ufwWords({ ...entry, family: null }).join(' ')).toBe('allow proto tcp to any port 22')
    expect(ufwWords(entry).join(' ')).toBe('allow proto tcp from 0.0.0.0/0 to 0.0.0.0/0 port 22')
    expect(
      ufwWords({ ...entry, from: '10.0.0.0/8', ports: '8000:8010', sourcePorts: '1:65535' }).join(' '),
    ).toBe('allow proto tcp from 10.0.0.0/8 port 1:65535 to 0.0.0.0/0 port 8000:8010')
  })
})

it('reads a zone of firewalld', () => {
  const listing = `public (default, active)
  target: default
  interfaces: eth0
  services: dhcpv6-client ssh
  ports: 8080/tcp 5000-5010/udp
  protocols: 
  rich rules: 
\trule family="ipv4" source address="10.0.0.0/8" port port="8888" protocol="tcp" accept
`
  expect(parseZone('public', listing)).toEqual({
    name: 'public',
    ports: ['8080/tcp', '5000-5010/udp'],
    services: ['dhcpv6-client', 'ssh'],
    rich: ['rule family="ipv4" source address="10.0.0.0/8" port port="8888" protocol="tcp" accept'],
  })
})
