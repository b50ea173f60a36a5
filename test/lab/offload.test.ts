/**
 * Busy sessions of the splice engine that the kernel carries by itself, between hosts that know nothing of each other:
 * what arrives is what was sent, what is counted is what arrived, a firewall's word counts, and nothing outlives its
 * owner. That one who says nothing for 3 s carries nothing more is why these run alone.
 */
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { hostAddress, KernelLab } from './kernel-lab.ts'
import { expectCarried, families, pause, places, Relay, Talk, until, type Family } from './offload-lab.ts'

const commands = ['ip', 'nft', 'ethtool']
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
