/**
 * Busy flows that the kernel carries by itself, between hosts that know nothing of each other: what arrives is what
 * was sent, what is counted is what arrived, a firewall's word counts, and nothing outlives its owner.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { beforeAll, expect, it } from 'vitest'
import type { Counters } from '../../src/model/connection.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'
import { expectCarried, families, pause, places, Relay, Talk, until, type Family } from './offload-lab.ts'

const commands = ['ip', 'nft', 'conntrack', 'ethtool']
const needs = { root: true, platform: 'linux', offload: true, commands } as const
/** An owner that says nothing for 3 s carries nothing more. */
const missedAfterMs = 3500

describeWith(needs, 'offloaded UDP sessions of the splice engine', () => {
  beforeAll(built, 120_000)

  const ruleOver = (family: Family): object => {
    return { listen: '8888/udp', target: `${places[family].target}:53` }
  }
  const rule = ruleOver(4)

  async function busy(lab: KernelLab, family: Family = 4): Promise<{ relay: Relay; talk: Talk }> {
    await lab.serveUdp(lab.target, 53)
    const relay = await Relay.start(lab.host, 'splice', ruleOver(family))
    const talk = await Talk.begin(lab.client, 8888, { family })
    // None is lost while the kernel takes over, however long a busy machine needs for that.
    expect(await talk.say(500, 2000)).toBe(500)
    // A busy machine may say all of them before the first is carried; both ways are from the next one on.
    await until(5000, async () => {
      await talk.say(1)
      return (await relay.ask('counters')).offloaded === 1
    })
    expect(await talk.say(20)).toBe(20)
    return { relay, talk }
  }

  it('go on while their owner is stopped for a moment, and no longer than that', async () => {
    await using lab = new KernelLab()
    const { relay, talk } = await busy(lab)
    using _talk = talk
    await relay.stop()
    await expectCarried(talk, 300)
    await pause(missedAfterMs)
    expect(await talk.say(5, 50)).toBe(0)
    relay.signal('SIGCONT')
    await until(5000, async () => (await talk.say(1)) === 1)
  })

  it.each(families)('over IPv%i reach both ends whole, and are counted to the byte', async (family) => {
    await using lab = new KernelLab()
    const { relay, talk } = await busy(lab, family)
    using _talk = talk
    expect(await talk.say(2000)).toBe(2000)
    expect(talk.wrong).toBe(0)
    expect(await relay.ask('counters')).toMatchObject({ open: 1, offloaded: 1 })
    const counters = await relay.ask('release')
    expect(counters).toMatchObject({
      offloaded: 0,
      opened: 1,
      datagramsToTarget: talk.sent,
      datagramsToClient: talk.answered,
      bytesToTarget: talk.sentBytes,
      bytesToClient: talk.answeredBytes,
      datagramsLost: 0,
    })
    expect(await talk.say(5, 50)).toBe(0)
  })

  it.each(families)('over IPv%i carry right checksums where no card computes them', async (family) => {
    await using lab = new KernelLab()
    for (const host of [lab.client, lab.target]) host.run(['ethtool', '-K', 'eth0', 'tx', 'off', 'rx', 'off'])
    for (const link of ['eth0', 'eth1']) lab.host.run(['ethtool', '-K', link, 'tx', 'off', 'rx', 'off'])
    const { talk } = await busy(lab, family)
    using _talk = talk
    expect(await talk.say(500)).toBe(500)
    expect(talk.wrong).toBe(0)
  })

  it.each(families)('over IPv%i larger than a packet go the ordinary way', async (family) => {
    await using lab = new KernelLab()
    const { talk } = await busy(lab, family)
    using _talk = talk
    expect(await talk.say(400, 200, (i) => (i % 4 === 0 ? 9000 + i : i))).toBe(400)
    expect(talk.wrong).toBe(0)
  })

  it.each([
    ['takes what comes in', 'input', 'udp dport 8888 drop'],
    ['takes what goes out', 'output', 'udp dport 53 drop'],
  ])('end where a firewall %s, within 5 s, and come back with it', async (_what, hook, drop) => {
    await using lab = new KernelLab()
    const { talk } = await busy(lab)
    using _talk = talk
    lab.host.run([
      'nft',
      `add table inet wall; add chain inet wall ${hook} { type filter hook ${hook} priority 0; }`,
    ])
    lab.host.run(['nft', `add rule inet wall ${hook} ${drop}`])
    await until(6000, async () => (await talk.say(20, 20)) === 0)
    lab.host.run(['nft', 'delete table inet wall'])
    expect(await talk.say(100)).toBe(100)
  })

  it.each(families)('over IPv%i follow a target whose card was exchanged', async (family) => {
    await using lab = new KernelLab()
    const { talk } = await busy(lab, family)
    using _talk = talk
    lab.target.ip('link', 'set', 'eth0', 'address', '02:00:00:00:00:77')
    // As a machine does that comes up: it asks whom it talks to, and says thereby who it is.
    lab.target.ip('neigh', 'flush', 'dev', 'eth0')
    lab.target.run(['ping', '-c', '1', '-w', '5', family === 4 ? '10.2.0.1' : 'fd02::1'])
    await until(8000, async () => (await talk.say(50)) === 50)
  })

  it('are not joined by who says to be the client on another cable', async () => {
    await using lab = new KernelLab()
    const stranger = lab.lab.host('stranger')
    lab.lab.cable(
      { host: stranger, interface: 'eth0', addresses: ['10.9.0.2/24', '10.1.0.2/32'] },
      { host: lab.host, interface: 'eth2', addresses: ['10.9.0.1/24'] },
    )
    stranger.ip('route', 'add', `${hostAddress}/32`, 'via', '10.9.0.1')
    await lab.serveUdp(lab.target, 53)
    const relay = await Relay.start(lab.host, 'splice', rule)
    // As itself it is welcome, so that the program sees its cable too.
    using own = await Talk.begin(stranger, 8888, { address: '10.9.0.2' })
    expect(await own.say(500)).toBe(500)
    using talk = await Talk.begin(lab.client, 8888)
    expect(await talk.say(500)).toBe(500)
    await relay.stop()
    await expectCarried(talk, 100)
    using spoof = await Talk.begin(stranger, 8888, { address: '10.1.0.2', port: talk.port })
    await spoof.say(50, 10, () => 1450)
    expect(lab.largestDatagram).toBeLessThan(1400)
    relay.signal('SIGCONT')
  })

  it('leave nothing behind where their owner is killed', async () => {
    await using lab = new KernelLab()
    const { relay, talk } = await busy(lab)
    using _talk = talk
    relay.signal('SIGKILL')
    await until(1000, async () => (await talk.say(3, 50)) === 0)
    // A next one starts from nothing.
    await Relay.start(lab.host, 'splice', rule)
    expect(await talk.say(200)).toBe(200)
  })
})

describeWith(needs, 'offloaded connections of the kernel engine', () => {
  beforeAll(built, 120_000)

  const listen = `0.0.0.0:8888`

  /** Packets that conntrack has seen of the connection to port 8888. */
  function tracked(lab: KernelLab, protocol: 'udp' | 'tcp', family: Family = 4): number {
    const lines = lab.host.run([
      'conntrack',
      '-L',
      '-f',
      `ipv${family}`,
      '-p',
      protocol,
      '--orig-port-dst',
      '8888',
    ])
    return [...lines.matchAll(/packets=(\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0)
  }

  it.each([
    ['hidden', 'relay', 4, '::ffff:10.2.0.1'],
    ['shown', 'keep', 4, '::ffff:10.1.0.2'],
    ['hidden', 'relay', 6, 'fd02::1'],
    ['shown', 'keep', 6, 'fd01::2'],
  ] as const)(
    'pass by conntrack but for one packet a second, and are counted: clients %s, %s over IPv%i',
    async (_how, source, family, peer) => {
      await using lab = new KernelLab()
      lab.target.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
      lab.target.ip('-6', 'route', 'add', 'fd01::/64', 'via', 'fd02::1')
      const { peers } = await lab.serveUdp(lab.target, 53)
      const { listen, target, ipAndUdp } = places[family]
      const rule = { listen: `${listen}:8888/udp`, target: `${target}:53`, source }
      const relay = await Relay.start(lab.host, 'kernel', rule)
      using talk = await Talk.begin(lab.client, 8888, { family })
      await until(15_000, async () => {
        const before = tracked(lab, 'udp', family)
        return (await talk.say(2000)) === 2000 && tracked(lab, 'udp', family) - before < 400
      })
      expect(talk.wrong).toBe(0)
      expect(new Set(peers)).toEqual(new Set([peer]))
      const all = talk.sent + talk.answered
      const counted = ({ datagramsToTarget, datagramsToClient }: Counters): number =>
        datagramsToTarget + datagramsToClient
      await until(10_000, async () => counted(await relay.ask('counters')) === all)
      const { bytesToTarget, offloaded } = await relay.ask('counters')
      expect(bytesToTarget).toBe(talk.sentBytes + talk.sent * ipAndUdp)
      expect(offloaded).toBe(1)
      await relay.ask('release')
      expect(await talk.say(5, 50)).toBe(0)
    },
  )

  it('do not where another table filters what is forwarded', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const rule = { listen: `${listen}/udp`, target: `${targetAddress}:53` }
    await Relay.start(lab.host, 'kernel', rule)
    using talk = await Talk.begin(lab.client, 8888)
    await until(15_000, async () => {
      const before = tracked(lab, 'udp')
      return (await talk.say(2000)) === 2000 && tracked(lab, 'udp') - before < 400
    })
    lab.host.run([
      'nft',
      'add table inet wall; add chain inet wall forward { type filter hook forward priority 0; }; ' +
        'add rule inet wall forward counter',
    ])
    lab.host.run(['nft', 'add rule inet wall forward ct state established accept'])
    await until(15_000, async () => {
      const before = tracked(lab, 'udp')
      return (await talk.say(500)) === 500 && tracked(lab, 'udp') - before === 1000
    })
  })

  it.each(families)('of TCP over IPv%i carry every byte, end as they end, and tell why', async (family) => {
    const { listen, target, host } = places[family]
    await using lab = new KernelLab()
    const hashes: string[] = []
    const server = lab.serve(lab.target, 80)
    server.server.removeAllListeners('connection')
    server.server.on('connection', (socket) => {
      const hash = createHash('sha256')
      socket.on('data', (chunk) => hash.update(chunk))
      socket.on('end', () => {
        hashes.push(hash.digest('hex'))
        socket.end('bye')
      })
      socket.on('error', () => {})
    })
    const relay = await Relay.start(lab.host, 'kernel', { listen: `${listen}:8888`, target: `${target}:80` })
    const client = await lab.dial(lab.client, host, 8888)
    const sent = createHash('sha256')
    let bytes = 0
    const chunk = randomBytes(1 << 20)
    const push = async (): Promise<void> => {
      sent.update(chunk)
      bytes += chunk.length
      if (!client.write(chunk)) await once(client, 'drain', { signal: AbortSignal.timeout(10_000) })
    }
    let before = { tracked: 0, bytes: 0 }
    // Segments travel together, some forty thousand bytes a packet: conntrack saw few of them.
    await until(20_000, async () => {
      before = { tracked: tracked(lab, 'tcp', family), bytes }
      for (let i = 0; i < 64; i++) await push()
      return tracked(lab, 'tcp', family) - before.tracked < (bytes - before.bytes) / 65_536 / 4
    })
    client.end()
    const [answer] = (await once(client, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer]
    expect(answer.toString()).toBe('bye')
    expect(hashes).toEqual([sent.digest('hex')])
    await until(10_000, async () => (await relay.ask('counters')).closed.finished === 1)
    const { bytesToTarget } = await relay.ask('counters')
    expect(bytesToTarget).toBeGreaterThan(bytes)
    expect(bytesToTarget).toBeLessThan(bytes * 1.05)
  })

  it.each(families)('of TCP over IPv%i that are reset are told so', async (family) => {
    const { listen, target, host } = places[family]
    await using lab = new KernelLab()
    const { sockets } = lab.serve(lab.target, 80)
    const relay = await Relay.start(lab.host, 'kernel', { listen: `${listen}:8888`, target: `${target}:80` })
    const client = await lab.dial(lab.client, host, 8888)
    client.resume()
    const chunk = randomBytes(1 << 20)
    await until(20_000, async () => {
      const before = tracked(lab, 'tcp', family)
      for (let i = 0; i < 128; i++)
        if (!client.write(chunk)) await once(client, 'drain', { signal: AbortSignal.timeout(10_000) })
      return tracked(lab, 'tcp', family) - before < 512
    })
    // Node tells it by an error, or where it was writing just then by the end alone.
    const gone = new Promise((resolve) => client.once('error', resolve).once('close', resolve))
    sockets[0]?.resetAndDestroy()
    await gone
    await until(10_000, async () => (await relay.ask('counters')).closed.reset === 1)
  })
})
