/**
 * Whoever carries a flow, the administrator's word and the order of its datagrams are the same: what the kernel
 * carries by itself never leaves another way, nor passes by what filters, counts or limits, nor overtakes.
 */
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'
import { expectCarried, families, pause, places, Relay, Talk, until, type Family } from './offload-lab.ts'

const commands = ['ip', 'nft', 'tc']
const needs = { root: true, platform: 'linux', offload: true, commands } as const
/** A change is heeded within this time: README.md says a second, and the machine may be busy. */
const heededMs = 3000

const splice = (family: Family = 4): object => {
  return { listen: '8888/udp', target: `${places[family].target}:53` }
}

const offloaded = async (relay: Relay): Promise<number> => (await relay.ask('counters')).offloaded

/** Talks until the kernel carries it. */
async function carried(lab: KernelLab, relay: Relay, port = 8888): Promise<Talk> {
  const talk = await Talk.begin(lab.client, port)
  await until(15_000, async () => {
    await talk.say(300)
    return (await offloaded(relay)) === 1
  })
  return talk
}

describeWith(needs, 'a flow that the kernel carries', () => {
  beforeAll(built, 120_000)

  /** Two loops that leave no core idle, and end by themselves. */
  function busyMachine(): Disposable {
    const loop = 'for (const end = Date.now() + 40000; Date.now() < end; );'
    const loops = [1, 2].map(() => spawn(process.execPath, ['-e', loop]))
    return { [Symbol.dispose]: () => loops.forEach((one) => one.kill('SIGKILL')) }
  }

  it.each([
    ['IPv4, of one size', 4, () => 1000],
    ['IPv6, of one size', 6, () => 1000],
    ['IPv4, now and then larger than a packet', 4, (at: number) => (at % 97 === 0 ? 3000 : 100)],
    ['IPv6, now and then larger than a packet', 6, (at: number) => (at % 97 === 0 ? 3000 : 100)],
  ] as const)(
    'keeps the order of 12,000 datagrams on a busy machine: over %s',
    async (_what, family, bytes) => {
      await using lab = new KernelLab()
      const late = { there: [] as number[], back: [] as number[] }
      const top = { there: -1, back: -1 }
      const note = (way: 'there' | 'back', message: Buffer): void => {
        const number = message.readUInt32BE(0)
        if (number < top[way]) late[way].push(number)
        top[way] = Math.max(top[way], number)
      }
      const { socket } = await lab.serveUdp(lab.target, 53)
      socket.on('message', (message) => note('there', message))
      const relay = await Relay.start(lab.host, 'splice', splice(family))
      const client = createSocket(`udp${family}`)
      using _client = { [Symbol.dispose]: () => void client.close() }
      {
        using _inside = enter(lab.client)
        client.bind()
        await once(client, 'listening')
      }
      client.on('message', (message) => note('back', message))
      using _busy = busyMachine()
      const began = performance.now()
      for (let number = 0; number < 12_000;) {
        for (const end = number + 10; number < end; number++) {
          const message = Buffer.alloc(bytes(number))
          message.writeUInt32BE(number)
          client.send(message, 8888, places[family].host)
        }
        const aheadMs = number / 2 - (performance.now() - began)
        if (aheadMs > 0) await sleep(aheadMs)
      }
      expect(await offloaded(relay)).toBe(1)
      expect(late).toEqual({ there: [], back: [] })
      expect(top.back).toBeGreaterThan(11_000)
    },
  )

  it('is a flood that never pauses, in order from its beginning on', async () => {
    await using lab = new KernelLab()
    let [top, heard] = [-1, 0]
    const late: number[] = []
    const { socket } = await lab.serveUdp(lab.target, 53)
    socket.on('message', (message) => {
      heard++
      const number = message.readUInt32BE(0)
      if (number < top) late.push(number)
      top = Math.max(top, number)
    })
    const relay = await Relay.start(lab.host, 'splice', splice())
    const send = `const socket = require('node:dgram').createSocket('udp4'), message = Buffer.alloc(100)
      let number = 0
      const flood = () => {
        for (const end = number + 64; number < end; ) {
          message.writeUInt32BE(number++)
          socket.send(Buffer.from(message))
        }
        setImmediate(flood)
      }
      socket.on('error', () => {}).connect(8888, '${hostAddress}', flood)
      setTimeout(() => process.exit(), 20000)`
    const child = lab.client.start([process.execPath, '-e', send], { stdio: 'ignore' })
    using _child = { [Symbol.dispose]: () => void child.kill('SIGKILL') }
    await until(10_000, async () => (await relay.ask('counters')).datagramsToTarget > 0)
    await until(heededMs, async () => (await offloaded(relay)) === 1)
    // What comes while its owner is stopped, beyond what lay in sockets, the kernel has carried alone.
    await until(2 * heededMs, async () => {
      await relay.stop()
      const before = heard
      await pause(500)
      relay.signal('SIGCONT')
      await pause(200)
      return heard > before + 600
    })
    expect(late).toEqual([])
  })

  it('is carried beside another Naru, whichever of them came first', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const first = await Relay.start(lab.host, 'splice', splice())
    const second = await Relay.start(lab.host, 'splice', { ...splice(), listen: '8889/udp' })
    using one = await carried(lab, first)
    using other = await carried(lab, second, 8889)
    // Each stands beside the other for longer than an answer about others holds.
    for (const began = performance.now(); performance.now() - began < heededMs;) {
      await one.say(50)
      await other.say(50)
    }
    expect([await offloaded(first), await offloaded(second)]).toEqual([1, 1])
    await first.stop()
    await expectCarried(one, 100)
    first.signal('SIGCONT')
  })

  it('keeps its address where somebody redirects what comes in', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    lab.host.run([
      'nft',
      'add table ip nat; add chain ip nat pre { type nat hook prerouting priority dstnat; }; add rule ip nat pre udp dport 5353 redirect to :8888',
    ])
    const relay = await Relay.start(lab.host, 'splice', splice())
    using talk = await Talk.begin(lab.client, 5353)
    expect(await talk.say(1000)).toBe(1000)
    expect(await offloaded(relay)).toBe(0)
    // Whom nobody redirects is carried all the same.
    using other = await carried(lab, relay)
    expect(other.wrong).toBe(0)
  })

  /** Another machine that has the target's address too, behind a table of its own. */
  async function withTunnel(lab: KernelLab): Promise<{ peers: string[] }> {
    const tunnel = lab.lab.host('tunnel')
    lab.lab.cable(
      { host: tunnel, interface: 'eth0', addresses: [`${targetAddress}/32`] },
      { host: lab.host, interface: 'eth2', addresses: ['10.9.0.1/24'] },
    )
    tunnel.ip('route', 'add', '10.9.0.0/24', 'dev', 'eth0')
    tunnel.ip('route', 'add', '10.2.0.1/32', 'via', '10.9.0.1')
    lab.host.ip('route', 'add', targetAddress, 'dev', 'eth2', 'table', '100')
    return await lab.serveUdp(tunnel, 53)
  }
  const routed = [
    [
      'by its port',
      (lab: KernelLab) => lab.host.ip('rule', 'add', 'ipproto', 'udp', 'dport', '53', 'table', '100'),
    ],
    [
      'by a mark',
      (lab: KernelLab) => {
        lab.host.run([
          'nft',
          'add table inet wall; add chain inet wall out { type route hook output priority mangle; }; add rule inet wall out udp dport 53 meta mark set 7',
        ])
        lab.host.ip('rule', 'add', 'fwmark', '7', 'table', '100')
      },
    ],
  ] as const

  it.each(routed)('leaves as a routing rule says that chooses %s', async (_how, route) => {
    await using lab = new KernelLab()
    const { peers: direct } = await lab.serveUdp(lab.target, 53)
    const { peers: tunnelled } = await withTunnel(lab)
    route(lab)
    const relay = await Relay.start(lab.host, 'splice', splice())
    using talk = await Talk.begin(lab.client, 8888)
    expect(await talk.say(1000)).toBe(1000)
    expect(await offloaded(relay)).toBe(0)
    expect([direct.length, tunnelled.length]).toEqual([0, 1000])
  })

  it.each(routed)(
    'leaves so within a second where the rule chooses %s and comes later',
    async (_how, route) => {
      await using lab = new KernelLab()
      const { peers: direct } = await lab.serveUdp(lab.target, 53)
      const { peers: tunnelled } = await withTunnel(lab)
      const relay = await Relay.start(lab.host, 'splice', splice())
      using talk = await carried(lab, relay)
      route(lab)
      await until(heededMs, async () => {
        await talk.say(20)
        return (await offloaded(relay)) === 0
      })
      const before = [direct.length, tunnelled.length] as const
      expect(await talk.say(500)).toBe(500)
      expect([direct.length, tunnelled.length]).toEqual([before[0], before[1] + 500])
    },
  )

  const wall = (hook: string, rule: string): string =>
    `add table inet wall; add chain inet wall c { type filter hook ${hook} priority 0; }; add rule inet wall c ${rule}`
  /** Packets that the rule has counted. */
  const counted = (lab: KernelLab): number =>
    Number(/counter packets (\d+)/.exec(lab.host.run(['nft', 'list', 'ruleset']))?.[1] ?? 0)

  it.each([
    ['comes in', wall('input', 'udp dport 8888 counter')],
    ['comes in, before it is routed', wall('prerouting', 'udp dport 8888 counter')],
    ['goes out', wall('output', 'udp dport 53 counter')],
    ['goes out, once it is routed', wall('postrouting', 'udp dport 53 counter')],
    [
      'arrives on a card',
      'add table netdev wall; add chain netdev wall c { type filter hook ingress device eth0 priority 0; }; add rule netdev wall c udp dport 8888 counter',
    ],
  ])('is counted by whoever counts what %s, also where that is later', async (_what, rules) => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const relay = await Relay.start(lab.host, 'splice', splice())
    using talk = await carried(lab, relay)
    lab.host.run(['nft', rules])
    await until(heededMs, async () => {
      await talk.say(20)
      return (await offloaded(relay)) === 0
    })
    const before = counted(lab)
    expect(await talk.say(500)).toBe(500)
    expect(counted(lab) - before).toBe(500)
  })

  it.each([
    ['a rate', 'udp dport 8888 limit rate over 100/second burst 5 packets drop'],
    ['a quota', 'udp dport 8888 quota over 30 kbytes drop'],
  ])('is held to %s that somebody sets later', async (_what, rule) => {
    await using lab = new KernelLab()
    const { peers } = await lab.serveUdp(lab.target, 53)
    const relay = await Relay.start(lab.host, 'splice', splice())
    using talk = await carried(lab, relay)
    lab.host.run(['nft', wall('input', rule)])
    await until(heededMs, async () => {
      await talk.say(20, 20)
      return (await offloaded(relay)) === 0
    })
    const before = peers.length
    const began = performance.now()
    await talk.say(400, 5, () => 1000)
    const seconds = (performance.now() - began) / 1000
    expect(peers.length - before).toBeLessThanOrEqual(100 * seconds + 10)
    expect(await offloaded(relay)).toBe(0)
  })

  it('meets a filter of tc on what comes in', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const relay = await Relay.start(lab.host, 'splice', splice())
    using talk = await carried(lab, relay)
    lab.host.run(['tc', 'qdisc', 'add', 'dev', 'eth0', 'clsact'])
    await until(heededMs, async () => {
      await talk.say(20)
      return (await offloaded(relay)) === 0
    })
  })

  it('is shaped as its card shapes what goes out', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const relay = await Relay.start(lab.host, 'splice', splice())
    using talk = await carried(lab, relay)
    const shape = ['tbf', 'rate', '2mbit', 'burst', '5000', 'latency', '1s']
    lab.host.run(['tc', 'qdisc', 'add', 'dev', 'eth1', 'root', ...shape])
    const began = performance.now()
    // 1,042 bytes each on the wire: 240 a second.
    expect(await talk.say(240, 1000, () => 1000)).toBe(240)
    expect(performance.now() - began).toBeGreaterThan(800)
    await relay.stop()
    await expectCarried(talk, 100)
    relay.signal('SIGCONT')
  })

  it.each([...families])('over IPv%i is carried beside filters that have no rule', async (family) => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const empty = ['input', 'forward', 'output'].map(
      (hook) => `add chain inet filter ${hook} { type filter hook ${hook} priority 0; policy accept; }`,
    )
    lab.host.run(['nft', ['add table inet filter', ...empty].join('; ')])
    const relay = await Relay.start(lab.host, 'splice', splice(family))
    using talk = await Talk.begin(lab.client, 8888, { family })
    await until(10_000, async () => {
      await talk.say(300)
      return (await offloaded(relay)) === 1
    })
  })

  it('of the kernel engine leaves as a routing rule says that comes later', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const rule = { listen: `${hostAddress}:8888/udp`, target: `${targetAddress}:53` }
    const relay = await Relay.start(lab.host, 'kernel', rule)
    using talk = await Talk.begin(lab.client, 8888)
    await until(15_000, async () => {
      await talk.say(1500)
      return (await offloaded(relay)) === 1
    })
    const { peers: tunnelled } = await withTunnel(lab)
    lab.host.ip('rule', 'add', 'ipproto', 'udp', 'dport', '53', 'table', '100')
    await until(2 * heededMs, async () => {
      await talk.say(20)
      return (await offloaded(relay)) === 0
    })
    const before = tunnelled.length
    expect(await talk.say(300)).toBe(300)
    expect(tunnelled.length - before).toBe(300)
  })
})
