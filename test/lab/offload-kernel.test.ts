/**
 * Busy connections of the kernel engine that pass by conntrack: what arrives is what was sent, what is counted is what
 * arrived, and a filter that somebody adds sees every packet. The kernel carries these without their owner's hands, and
 * however busy the machine is: nothing here is held to a time.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { beforeAll, expect, it } from 'vitest'
import type { Counters } from '../../src/model/connection.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { KernelLab, targetAddress } from './kernel-lab.ts'
import { families, places, Relay, Talk, until, type Family } from './offload-lab.ts'

const needs = { root: true, platform: 'linux', offload: true, commands: ['ip', 'nft', 'conntrack'] } as const

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
