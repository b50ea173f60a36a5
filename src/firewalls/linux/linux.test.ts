import { describe, expect, it } from 'vitest'
import { fakeHost, type Answering } from '../../../test/fakes/host.ts'
import { detectFirewall } from '../index.ts'
import { objectsIn } from '../../linux/nft.ts'
import { readListing, readNft } from '../../host/simulate/nft-ruleset.ts'
import { walk } from '../../host/simulate/walk.ts'
import { gateOf, parseZone, zonesIn } from './firewalld-zones.ts'
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
    target: 'default',
    interfaces: ['eth0'],
    sources: [],
    ports: ['8080/tcp', '5000-5010/udp'],
    services: ['dhcpv6-client', 'ssh'],
    rich: ['rule family="ipv4" source address="10.0.0.0/8" port port="8888" protocol="tcp" accept'],
  })
})

describe('the zone that a packet comes through', () => {
  const listing = ['dmz', 'public', 'drop'].map(
    (name) => `${name}\n  target: ${name === 'drop' ? 'DROP' : 'default'}\n`,
  )
  const zones = new Map(zonesIn(listing.join('\n')).map((zone) => [zone.name, zone]))
  const goes = (chain: string, to: string, from?: string): object => ({
    rule: {
      chain,
      expr: [
        ...(from ? [{ match: { op: '==', left: { meta: { key: 'iifname' } }, right: from } }] : []),
        { [from || to === 'IN_public' ? 'goto' : 'jump']: { target: to } },
      ],
    },
  })
  const ends = (chain: string, verdict: string): object => ({ rule: { chain, expr: [{ [verdict]: null }] } })
  /** As firewalld up to 0.9 writes it: what a zone does not let in is refused behind all of them. */
  const gateBy = (from: string, ...more: object[]): unknown => {
    const chains = ['INPUT_ZONES', 'IN_dmz', 'IN_dmz_deny', 'IN_public', 'IN_drop'].map((name) => ({
      chain: { name },
    }))
    const base = { chain: { name: 'INPUT', type: 'filter', hook: 'input', prio: 10, policy: 'accept' } }
    const rules = [
      goes('INPUT', 'INPUT_ZONES'),
      ends('INPUT', 'reject'),
      goes('INPUT_ZONES', 'IN_dmz', 'eth1'),
      goes('INPUT_ZONES', 'IN_drop', 'eth2'),
      goes('INPUT_ZONES', 'IN_public'),
      goes('IN_dmz', 'IN_dmz_deny'),
      ends('IN_drop', 'drop'),
      ...more,
    ]
    let handle = 1
    const nftables = [base, ...chains, ...rules].map((one) =>
      Object.fromEntries(
        Object.entries(one).map(([kind, of]) => [
          kind,
          { family: 'inet', table: 'firewalld', handle: handle++, ...(of as object) },
        ]),
      ),
    )
    const { chains: read } = readNft(objectsIn(JSON.stringify({ nftables })) ?? [], readListing(''))
    const filter = { chains: new Map(read.map((chain) => [chain.key, chain])), marks: false, unread: [] }
    const at = { port: 8888, originalPort: 8888, destinations: ['10.1.0.1'], local: true, to: null } as const
    const state = { rewritten: false, untracked: false, mark: 0 } as const
    const packet = { family: 4, protocol: 'tcp', source: null, from, ...at, ...state } as const
    return gateOf(walk(filter, packet, { pressOn: true }).chains, zones)
  }

  it('is the one that its interface leads to, shut by its target or by a denial in it alone', () => {
    expect(gateBy('eth0')).toEqual({ name: 'public', isShut: false })
    expect(gateBy('eth1')).toEqual({ name: 'dmz', isShut: false })
    expect(gateBy('eth2')).toEqual({ name: 'drop', isShut: true })
    expect(gateBy('eth1', ends('IN_dmz_deny', 'drop'))).toEqual({ name: 'dmz', isShut: true })
  })
})
