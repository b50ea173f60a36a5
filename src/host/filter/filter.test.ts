import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fakeHost } from '../../../test/fakes/host.ts'
import { parseCidr } from '../../base/address.ts'
import type { Host, Interface } from '../contract.ts'
import { answerFor, openingsFor, packetsOf, placeText, readFilter, type PacketFilter } from './index.ts'
import { optionsOf, readIpSets, ruleWords } from './iptables.ts'
import { rangePrefixes } from './nft-match.ts'
import { nftWords, readNft } from './nft.ts'

const signal = AbortSignal.timeout(60_000)

function card(name: string, address: string, kind: Interface['kind'] = 'ethernet'): Interface {
  return { name, kind, up: true, mac: null, index: 2, addresses: [{ family: 4, address, bits: 24 }] }
}

/** A machine whose tools print these; `undefined` is not installed. */
function machine(
  tools: Readonly<Record<string, string | undefined>>,
  cards = [card('eth0', '192.168.1.10')],
): Host {
  return fakeHost({
    run: ([command = '', ...args]) => (command === 'nft' && args[0] === '-t' ? '' : tools[command]),
    network: {
      interfaces: () => Promise.resolve(cards),
      defaultRoutes: () =>
        Promise.resolve([
          { family: 4, interface: 'eth0', gateway: '192.168.1.1', source: null, metric: 100 },
        ]),
    },
  })
}

async function ask(host: Host, port: number, from?: string): Promise<string> {
  const filter = await readFilter({ runner: host.runner, signal })
  const sources = from === undefined ? [] : [parseCidr(from)]
  const packets = await packetsOf(
    { protocols: ['tcp'], ports: { first: port, last: port }, address: null, sources },
    host,
    signal,
  )
  const { verdict, by } = answerFor(filter, packets)
  return by === '' ? verdict : `${verdict} by ${by}`
}

const nothing = '{"nftables": []}'
const legacy = (rules: string): Host =>
  machine({ nft: nothing, cat: 'filter\n', 'iptables-legacy-save': rules, 'ip6tables-legacy-save': '' })

describe('reading filters', () => {
  it('is content with a machine that has none of the tools', async () => {
    const host = machine({})
    expect(await readFilter({ runner: host.runner, signal })).toMatchObject({ unread: ['nftables'] })
    expect(await ask(host, 80)).toBe('unknown')
  })

  it('says that legacy rules are there which no tool here can read', async () => {
    expect(await ask(machine({ nft: nothing, cat: 'filter\n' }), 80)).toBe('unknown')
  })

  it('answers by the policy where no rule decides', async () => {
    const rules =
      '*filter\n:INPUT DROP [5:300]\n:FORWARD ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n'
    expect(await ask(legacy(rules), 22)).toBe(
      'allowed by iptables-legacy -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT',
    )
    expect(await ask(legacy(rules), 8888)).toBe('blocked by iptables-legacy -P INPUT DROP')
  })

  it('tells a stranger from a neighbour', async () => {
    const rules = '*filter\n:INPUT DROP [0:0]\n-A INPUT -s 192.168.1.0/24 -p tcp -j ACCEPT\nCOMMIT\n'
    expect(await ask(legacy(rules), 8888)).toContain('blocked')
    expect(await ask(legacy(rules), 8888, '192.168.1.7')).toContain('allowed')
  })

  it('knows ipsets of addresses, and not those of pairs', async () => {
    const rules =
      '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m set --match-set bans src -j DROP\n-A INPUT -m set --match-set pairs src,dst -j DROP\nCOMMIT\n'
    const host = machine({
      nft: nothing,
      cat: 'filter\n',
      'iptables-legacy-save': rules,
      'ip6tables-legacy-save': '',
      ipset: 'create bans hash:net family inet\nadd bans 203.0.113.0/24\ncreate pairs hash:ip,port\n',
    })
    expect(await ask(host, 80, '203.0.113.9')).toContain('blocked')
    expect(await ask(host, 80, '198.51.100.9')).toContain('unknown')
  })

  it('lets an opening stand before what drops and after what bans', async () => {
    const rules =
      '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 203.0.113.0/24 -j DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n'
    const host = legacy(rules)
    const filter = await readFilter({ runner: host.runner, signal })
    const packets = await packetsOf(
      { protocols: ['tcp'], ports: { first: 8000, last: 9000 }, address: null, sources: [] },
      host,
      signal,
    )
    expect(
      openingsFor(filter, packets).map(({ chain, before }) => placeText({ chain, rule: before })),
    ).toEqual(['iptables-legacy -A INPUT -j REJECT --reject-with icmp-host-prohibited'])
  })

  it('never follows a circle of chains for ever', async () => {
    const rules =
      '*filter\n:INPUT DROP [0:0]\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -j b\n-A b -j a\nCOMMIT\n'
    expect(await ask(legacy(rules), 80)).toContain('unknown')
  })

  it('leaves tables of iptables to iptables, and takes those it cannot show from nft', async () => {
    const chain = (table: string): object => ({
      chain: {
        family: 'ip',
        table,
        name: 'INPUT',
        handle: 1,
        type: 'filter',
        hook: 'input',
        prio: 0,
        policy: 'drop',
      },
    })
    const json = JSON.stringify({ nftables: [chain('filter'), chain('nat')] })
    const saved =
      "# Table `nat' contains incompatible base-chains, use 'nft' tool to list them.\n*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
    const host = machine({ nft: json, 'iptables-nft-save': saved })
    const filter = await readFilter({ runner: host.runner, signal })
    expect([...filter.chains.keys()]).toEqual(['nft ip nat INPUT', 'iptables-nft ip filter INPUT'])
  })

  it('asks about each interface that faces others, the default route first', async () => {
    const cards = [
      card('docker0', '172.17.0.1', 'container'),
      card('lan', '10.0.0.1'),
      card('eth0', '192.168.1.10'),
    ]
    const packets = await packetsOf(
      { protocols: ['tcp'], ports: { first: 80, last: 80 }, address: null, sources: [] },
      machine({}, cards),
      signal,
    )
    expect(packets.packets.map(({ from }) => from)).toEqual(['eth0', 'lan'])
  })
})

describe('what tools print', () => {
  it('is cut into words as a shell would', () => {
    const line = '[12:720] -A INPUT -p tcp ! --dport 80 -m comment --comment "say \\"hi\\" now" -j ACCEPT'
    const words = ruleWords(line)
    expect(words.slice(0, 2)).toEqual(['-A', 'INPUT'])
    expect(optionsOf(words.slice(2))).toEqual([
      { name: '-p', values: ['tcp'], not: false },
      { name: '--dport', values: ['80'], not: true },
      { name: '-m', values: ['comment'], not: false },
      { name: '--comment', values: ['say "hi" now'], not: false },
      { name: '-j', values: ['ACCEPT'], not: false },
    ])
  })

  it('is found by handle in the listing of nft', () => {
    const listing =
      'table inet filter { # handle 1\n\tchain input { # handle 2\n\t\ttype filter hook input priority filter; policy drop;\n\t\ttcp dport 22 accept # handle 4\n\t}\n}\n'
    expect([...nftWords(listing)]).toEqual([['inet filter input 4', 'tcp dport 22 accept']])
  })

  it('rejects one family where the answer is of one family, which nft no longer says', async () => {
    const base = { family: 'inet', table: 't', chain: 'c' }
    const json = JSON.stringify({
      nftables: [
        { chain: { ...base, name: 'c', hook: 'input', type: 'filter', prio: 0, policy: 'accept' } },
        { rule: { ...base, handle: 2, expr: [{ reject: { type: 'icmpv6', expr: 'port-unreachable' } }] } },
      ],
    })
    expect(await ask(machine({ nft: json, cat: '' }), 80)).toContain('allowed')
  })

  it('gives a range of addresses as prefixes', () => {
    expect(rangePrefixes('10.0.0.5', '10.0.0.8')?.map(({ address, bits }) => `${address}/${bits}`)).toEqual([
      '10.0.0.5/32',
      '10.0.0.6/31',
      '10.0.0.8/32',
    ])
    expect(rangePrefixes('0.0.0.0', '255.255.255.255')).toEqual([{ family: 4, address: '0.0.0.0', bits: 0 }])
  })

  it('reads ipset save', () => {
    expect([
      ...readIpSets('create a hash:ip family inet\nadd a 10.0.0.1 timeout 60\ncreate b hash:ip,port\n'),
    ]).toEqual([
      ['a', ['10.0.0.1']],
      ['b', null],
    ])
  })

  it('never breaks the reader, whatever JSON nft of another day prints', async () => {
    const item = fc.record({
      family: fc.constantFrom('inet', 'ip', 'bridge'),
      table: fc.constant('t'),
      chain: fc.constant('c'),
      handle: fc.nat(),
      expr: fc.array(fc.object()),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(item), async (rules) => {
        const base = {
          chain: {
            family: 'inet',
            table: 't',
            name: 'c',
            hook: 'input',
            type: 'filter',
            prio: 0,
            policy: 'drop',
          },
        }
        const { chains } = readNft(
          JSON.stringify({ nftables: [base, ...rules.map((rule) => ({ rule }))] }),
          new Map(),
        )
        const filter: PacketFilter = {
          chains: new Map(chains.map((chain) => [chain.key, chain])),
          marks: false,
          unread: [],
        }
        const packets = await packetsOf(
          { protocols: ['tcp'], ports: { first: 80, last: 80 }, address: null, sources: [] },
          machine({}),
          signal,
        )
        expect(['blocked', 'unknown', 'allowed']).toContain(answerFor(filter, packets).verdict)
      }),
    )
  })
})
