/** Rules of others are understood, kept, and where they ban a source they keep banning it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseCidr } from '../../src/base/address.ts'
import type { FirewallAnswer, FirewallMember } from '../../src/firewalls/contract.ts'
import { detectFirewall } from '../../src/firewalls/index.ts'
import { firewalld } from '../../src/firewalls/linux/firewalld.ts'
import { iptables } from '../../src/firewalls/linux/iptables.ts'
import { nftables } from '../../src/firewalls/linux/nftables.ts'
import { none } from '../../src/firewalls/linux/none.ts'
import { ufw } from '../../src/firewalls/linux/ufw.ts'
import type { Lease } from '../../src/model/hop.ts'
import { client, own, request, Scene, signal } from '../conformance/firewall/suite.ts'
import { MemoryRecorder } from '../fakes/recorder.ts'
import { describeWith } from '../needs.ts'
import {
  firewalldFirewall,
  iptablesFirewall,
  nftFirewall,
  noFirewall,
  ufwFirewall,
  type LabFirewall,
} from './firewalls.ts'
import type { LabHost } from './namespaces.ts'
import { answering, knock } from './packets.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'iptables-nft', 'ufw', 'firewalld'],
} as const

describeWith(needs, 'beside rules of others', () => {
  let scene: Scene
  beforeEach(() => {
    scene = new Scene()
  })
  afterEach(() => scene[Symbol.asyncDispose]())

  const open = (member: FirewallMember, firewall: LabFirewall, port = 8888): Promise<Lease> =>
    member.open(request(port), { host: firewall.host, signal: signal(), record: new MemoryRecorder() })
  const ask = (
    member: FirewallMember,
    firewall: LabFirewall,
    port: number,
    from: string | null = null,
  ): Promise<FirewallAnswer> =>
    member.explain({ protocol: 'tcp', port, from }, { host: firewall.host, signal: signal() })

  it('leaves a fail2ban of iptables in force above the opening', async () => {
    const firewall = iptablesFirewall(scene.inside, 'iptables-nft', [
      ['iptables-nft', '-N', 'f2b-all'],
      [
        'iptables-nft',
        '-A',
        'f2b-all',
        '-s',
        client.other,
        '-j',
        'REJECT',
        '--reject-with',
        'icmp-port-unreachable',
      ],
      ['iptables-nft', '-A', 'f2b-all', '-j', 'RETURN'],
      ['iptables-nft', '-I', 'INPUT', '-p', 'tcp', '-j', 'f2b-all'],
      ['iptables-nft', '-A', 'INPUT', '-p', 'tcp', '-m', 'multiport', '--dports', '22,80', '-j', 'ACCEPT'],
      ['iptables-nft', '-A', 'INPUT', '-j', 'REJECT', '--reject-with', 'icmp-host-prohibited'],
    ])
    const before = firewall.snapshot()
    const lease = await open(iptables, firewall)
    expect(await scene.reach('tcp', 8888, own.four, client.four)).toBe('in')
    expect(await scene.reach('tcp', 8888, own.four, client.other)).not.toBe('in')
    expect(await ask(iptables, firewall, 8888, client.other)).toMatchObject({
      verdict: 'blocked',
      by: expect.stringContaining(`f2b-all -s ${client.other}`),
    })
    expect((await ask(iptables, firewall, 8888)).why.en).toContain(
      `some sources are blocked by: iptables -A f2b-all -s ${client.other}`,
    )
    await lease.release({ signal: signal() })
    expect(firewall.snapshot()).toBe(before)
  })

  it('follows sets, verdict maps, interfaces and rate limits of nft into the chain that drops', async () => {
    const firewall = noFirewall(scene.inside)
    firewall.run(['nft', '-f', '-'], edgeRouter)
    expect((await detectFirewall({ host: firewall.host, signal: signal() })).id).toBe('nftables')
    const before = firewall.snapshot()
    expect(await ask(nftables, firewall, 8888)).toMatchObject({
      verdict: 'blocked',
      by: 'inet edge lan: counter packets 0 bytes 0 reject',
    })
    expect(await ask(nftables, firewall, 22)).toMatchObject({
      verdict: 'allowed',
      why: { en: expect.stringContaining('within a rate limit') },
    })
    expect(await ask(nftables, firewall, 443)).toMatchObject({ verdict: 'allowed' })
    expect(await ask(nftables, firewall, 443, client.other)).toMatchObject({
      verdict: 'blocked',
      by: expect.stringContaining('@banned'),
    })
    const lease = await open(nftables, firewall)
    expect(lease.describe().text.en).toContain('inet edge lan')
    expect(await scene.reach('tcp', 8888, own.four, client.four)).toBe('in')
    expect(await scene.reach('tcp', 8888, own.six)).toBe('in')
    expect(await scene.reach('tcp', 8888, own.four, client.other)).not.toBe('in')
    await lease.release({ signal: signal() })
    expect(firewall.snapshot()).toBe(before)
  })

  it.each([
    ['nftables', 'ip saddr != 10.1.0.3 drop'],
    ['nftables', 'ip saddr != { 10.1.0.3, 10.9.0.0/16 } counter reject'],
    ['nftables', 'iifname "eth0" ip saddr != 10.1.0.3 tcp dport 1-65535 drop'],
    ['nftables', 'ip saddr . tcp dport != { 10.1.0.3 . 8888 } drop'],
    ['iptables', '! -s 10.1.0.3 -j DROP'],
    ['iptables', '-i eth0 -m iprange ! --src-range 10.1.0.3-10.1.0.3 -j REJECT'],
  ])('never goes ahead of a list of who may come: %s, %s', async (tool, list) => {
    const member = tool === 'nftables' ? nftables : iptables
    const firewall =
      tool === 'nftables'
        ? nftFirewall(scene.inside, [list])
        : iptablesFirewall(scene.inside, 'iptables-nft', [
            ['iptables-nft', '-A', 'INPUT', ...list.split(' ')],
          ])
    const before = firewall.snapshot()
    // Not for everybody, and it says by what; everything is as it was.
    await expect(open(member, firewall)).rejects.toMatchObject({
      code: 'FIREWALL_OVERRULED',
      params: { by: expect.stringContaining('10.1.0.3') },
    })
    expect(firewall.snapshot()).toBe(before)
    // Who is on the list may be let in.
    const lease = await member.open(request(8888, { allow: [parseCidr(client.other)] }), {
      host: firewall.host,
      signal: signal(),
      record: new MemoryRecorder(),
    })
    expect(await scene.reach('tcp', 8888, own.four, client.other)).toBe('in')
    expect(await scene.reach('tcp', 8888, own.four, client.four)).not.toBe('in')
    await lease.release({ signal: signal() })
    expect(firewall.snapshot()).toBe(before)
  })

  it('never goes ahead of a list of interfaces', async () => {
    const firewall = nftFirewall(scene.inside, ['iifname != "wg0" drop'])
    const before = firewall.snapshot()
    await expect(open(nftables, firewall)).rejects.toMatchObject({
      code: 'FIREWALL_OVERRULED',
      params: { by: expect.stringContaining('wg0') },
    })
    expect(firewall.snapshot()).toBe(before)
  })

  it('says unknown where a match cannot be told from here', async () => {
    const firewall = nftFirewall(scene.inside, ['ether saddr 02:00:00:00:00:01 accept'])
    expect(await ask(nftables, firewall, 8888)).toMatchObject({
      verdict: 'unknown',
      by: 'inet filter input: ether saddr 02:00:00:00:00:01 accept',
    })
  })

  it('opens a filter of nft and one of iptables, each by its own tool', async () => {
    nftFirewall(scene.inside)
    const firewall = iptablesFirewall(scene.inside, 'iptables-nft')
    const before = firewall.snapshot()
    const lease = await open(nftables, firewall)
    expect(await scene.reach('tcp', 8888)).toBe('in')
    await lease.release({ signal: signal() })
    expect(firewall.snapshot()).toBe(before)
  })

  it('names the chain that still blocks behind ufw, and leaves ufw as it was', async () => {
    nftFirewall(scene.inside)
    await using firewall = await ufwFirewall(scene.inside)
    const before = firewall.snapshot()
    await expect(open(ufw, firewall)).rejects.toMatchObject({
      code: 'FIREWALL_OVERRULED',
      params: { by: 'inet filter input: policy drop' },
    })
    expect(firewall.snapshot()).toBe(before)
  })

  it('never replaces a rule that somebody gave ufw for the same port', async () => {
    await using firewall = await ufwFirewall(scene.inside)
    firewall.run(['ufw', 'deny', '8888/tcp'])
    firewall.run(['ufw', 'deny', 'from', client.other])
    firewall.run(['ufw', 'limit', '22/tcp'])
    firewall.run(['ufw', 'allow', '9000/tcp', 'comment', 'mine'])
    const before = firewall.snapshot()
    expect(await ask(ufw, firewall, 8888)).toMatchObject({
      verdict: 'blocked',
      by: 'ufw deny in proto tcp from any to any port 8888',
    })
    const leases = [await open(ufw, firewall), await open(ufw, firewall, 9000)]
    expect(await scene.reach('tcp', 8888)).toBe('in')
    expect(await scene.reach('tcp', 8888, own.six)).toBe('in')
    for (const lease of leases) await lease.release({ signal: signal() })
    expect(await scene.reach('tcp', 9000)).toBe('in')
    expect(firewall.snapshot()).toBe(before)
  })

  it('opens the way that a new address makes', async () => {
    const firewall = nftFirewall(scene.inside)
    scene.inside.ip('address', 'delete', `${own.six}/64`, 'dev', 'eth0')
    const before = firewall.snapshot()
    const lease = await open(nftables, firewall)
    scene.inside.ip('address', 'add', `${own.six}/64`, 'dev', 'eth0', 'nodad')
    expect(await lease.verify({ signal: signal() })).toMatchObject({
      state: 'lost',
      why: { code: 'FIREWALL_LOST' },
    })
    await lease.renew({ signal: signal() })
    expect(await scene.reach('tcp', 8888, own.six)).toBe('in')
    expect(await scene.reach('tcp', 8888)).toBe('in')
    await lease.release({ signal: signal() })
    expect(firewall.snapshot()).toBe(before)
  })

  it('opens what came with nobody to open it: none, until a firewall arrives', async () => {
    const firewall = noFirewall(scene.inside)
    expect((await detectFirewall({ host: firewall.host, signal: signal() })).id).toBe('none')
    const lease = await open(none, firewall)
    expect(await lease.verify({ signal: signal() })).toMatchObject({ state: 'held' })
    nftFirewall(scene.inside)
    expect(await lease.verify({ signal: signal() })).toMatchObject({
      state: 'lost',
      why: { code: 'FIREWALL_OVERRULED' },
    })
  })

  describe('where the port is sent on to a guest', () => {
    let guest: LabHost
    beforeEach(() => {
      guest = scene.lab.host('guest')
      scene.lab.cable(
        { host: scene.inside, interface: 'br0', addresses: ['172.17.0.1/24'] },
        { host: guest, interface: 'eth0', addresses: ['172.17.0.2/24'] },
      )
      guest.ip('route', 'add', 'default', 'via', '172.17.0.1')
      scene.inside.sysctl('net/ipv4/ip_forward', '1')
    })
    const reachGuest = async (): Promise<string> => {
      await using _server = await answering(guest, 'tcp', 80)
      return await knock(scene.outside, { protocol: 'tcp', address: own.four, port: 8888 })
    }

    it('sees that Docker has published it, and that no input rule matters', async () => {
      const firewall = iptablesFirewall(scene.inside, 'iptables-nft', dockerRules)
      const answer = await ask(iptables, firewall, 8888)
      expect(await reachGuest()).toBe('in')
      expect(answer).toMatchObject({
        verdict: 'allowed',
        by: expect.stringContaining('-A DOCKER -d 172.17.0.2/32'),
      })
      expect(answer.why.en).toContain('172.17.0.2:80')
    })

    it.each(['nftables', 'iptables', 'ufw', 'firewalld'] as const)(
      'opens the forwarding path of %s',
      async (kind) => {
        await using firewall = await forwarding(kind, scene.inside)
        firewall.run(['nft', '-f', '-'], kernelEngine)
        const before = firewall.snapshot()
        if (kind !== 'firewalld') expect(await reachGuest()).not.toBe('in')
        const lease = await open({ nftables, iptables, ufw, firewalld }[kind], firewall)
        expect(await reachGuest()).toBe('in')
        expect(await lease.verify({ signal: signal() })).toMatchObject({ state: 'held' })
        await lease.release({ signal: signal() })
        expect(firewall.snapshot()).toBe(before)
      },
    )
  })
})

async function forwarding(
  kind: 'nftables' | 'iptables' | 'ufw' | 'firewalld',
  host: LabHost,
): Promise<LabFirewall> {
  if (kind === 'ufw') return ufwFirewall(host)
  if (kind === 'firewalld') return firewalldFirewall(host)
  if (kind === 'iptables')
    return iptablesFirewall(host, 'iptables-nft', [
      [
        'iptables-nft',
        '-A',
        'FORWARD',
        '-m',
        'conntrack',
        '--ctstate',
        'RELATED,ESTABLISHED',
        '-j',
        'ACCEPT',
      ],
      ['iptables-nft', '-P', 'FORWARD', 'DROP'],
    ])
  const firewall = nftFirewall(host)
  firewall.run([
    'nft',
    'add chain inet filter forward { type filter hook forward priority 0; policy drop; ct state established,related accept; }',
  ])
  return firewall
}

/** As a small router at the edge might filter. */
const edgeRouter = `table inet edge {
  set banned { type ipv4_addr; flags interval; elements = { ${client.other}, 203.0.113.0/24 }; }
  set served { type inet_service; elements = { 80, 443 }; }
  chain input {
    type filter hook input priority filter; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iifname vmap { "lo" : accept, "eth0" : jump lan }
  }
  chain lan {
    ip saddr @banned counter drop
    meta l4proto ipv6-icmp accept
    ip protocol icmp accept
    tcp dport 22 limit rate 30/minute accept
    tcp dport @served accept
    tcp flags & (fin | syn) == (fin | syn) drop
    counter reject
  }
}
`

/** As our kernel engine sends a port on. */
const kernelEngine = `table inet naru {
  map port4 { type inet_proto . inet_service : ipv4_addr . inet_service; counter; elements = { tcp . 8888 : 172.17.0.2 . 80 }; }
  chain carry {
    fib daddr type != local return
    tcp flags & (fin | syn | rst | ack) != syn return
    dnat ip to meta l4proto . th dport map @port4
  }
  chain carry_arriving { type nat hook prerouting priority -100; policy accept; jump carry
  }
  chain strangers { type nat hook postrouting priority 99; policy accept;
    iifname "eth0" ct status & dnat != dnat drop
  }
}
`

/** What dockerd writes for `docker run -p 8888:80`. */
const dockerRules = [
  ['-t', 'nat', '-N', 'DOCKER'],
  ['-t', 'nat', '-A', 'PREROUTING', '-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'DOCKER'],
  ['-t', 'nat', '-A', 'DOCKER', '-i', 'br0', '-j', 'RETURN'],
  [
    '-t',
    'nat',
    '-A',
    'DOCKER',
    '!',
    '-i',
    'br0',
    '-p',
    'tcp',
    '-m',
    'tcp',
    '--dport',
    '8888',
    '-j',
    'DNAT',
    '--to-destination',
    '172.17.0.2:80',
  ],
  ['-N', 'DOCKER'],
  ['-N', 'DOCKER-USER'],
  ['-A', 'DOCKER-USER', '-j', 'RETURN'],
  ['-P', 'FORWARD', 'DROP'],
  ['-A', 'FORWARD', '-j', 'DOCKER-USER'],
  ['-A', 'FORWARD', '-o', 'br0', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT'],
  ['-A', 'FORWARD', '-o', 'br0', '-j', 'DOCKER'],
  ['-A', 'FORWARD', '-i', 'br0', '!', '-o', 'br0', '-j', 'ACCEPT'],
  [
    '-A',
    'DOCKER',
    '-d',
    '172.17.0.2/32',
    '!',
    '-i',
    'br0',
    '-o',
    'br0',
    '-p',
    'tcp',
    '-m',
    'tcp',
    '--dport',
    '80',
    '-j',
    'ACCEPT',
  ],
].map((words) => ['iptables-nft', ...words])
