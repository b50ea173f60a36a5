/** `source: keep` in user space: the target sees the client, its answers come back here, and nothing is left behind. */
import { once } from 'node:events'
import { beforeAll, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import type { EngineEvent, EngineLease } from '../../src/engines/contract.ts'
import { SpliceEngine } from '../../src/engines/splice/main/engine.ts'
import { TproxyRules } from '../../src/engines/splice/main/tproxy.ts'
import { pidNamespace, thisOwner } from '../../src/linux/process-identity.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import { built } from '../built.ts'
import { testFacts, testHost } from '../conformance/engine/world.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { echoes, echoesUdp, hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft'] } as const
const may = { ...testFacts, capabilities: ['CAP_NET_ADMIN'], tools: { nft: '/sbin/nft', ip: '/sbin/ip' } }

/** The lab, its target answering through the host, and `splice` on the host. */
class KeepLab extends KernelLab {
  readonly splice = new SpliceEngine(
    { host: this.machine, clock: systemClock, log: silentLog },
    { threads: 2 },
  )
  readonly seen: EngineEvent[] = []

  constructor() {
    super()
    this.target.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
    this.target.ip('-6', 'route', 'add', 'fd01::/64', 'via', 'fd02::1')
    this.client.ip('route', 'add', '10.2.0.0/24', 'via', hostAddress)
  }

  async keep(rule: object): Promise<EngineLease> {
    // Threads stay in the network where they were started.
    using _inside = enter(this.host)
    const request = {
      rule: parseRule('kept', { ...rule, source: 'keep', engine: 'splice' }),
      resolve: () => Promise.reject(new Error('no names here')),
      onEvent: (event: EngineEvent) => void this.seen.push(event),
    }
    return await this.splice.open(request, { signal: AbortSignal.timeout(20_000), record: this.record })
  }

  /** What is left of ours in the host's network. */
  get traces(): string {
    const rules = [...this.host.ip('rule').split('\n'), ...this.host.ip('-6', 'rule').split('\n')]
    const routes = this.host.ip('route', 'show', 'table', 'all').split('\n')
    return [
      this.host.run(['nft', 'list', 'ruleset']),
      ...rules.filter((line) => line.includes('fwmark')),
      ...routes.filter((line) => line.startsWith('local default')),
    ].join('')
  }

  override async stop(): Promise<void> {
    await this.splice.close()
    await super.stop()
  }
}

describeWith(needs, 'source: keep in the splice engine', () => {
  beforeAll(built, 120_000)

  it('shows the target the client’s address, in both families, and leaves no trace', async () => {
    await using lab = new KeepLab()
    const { peers } = lab.serve(lab.target, 80)
    const leases = [
      await lab.keep({ listen: '0.0.0.0:8888', target: `${targetAddress}:80` }),
      await lab.keep({ listen: '[::]:8889', target: '[fd02::2]:80' }),
    ]
    const four = await lab.dial(lab.client, hostAddress, 8888)
    expect(await echoes(four, 'four')).toBe('four')
    const other = await lab.dial(lab.client, hostAddress, 8888, '10.1.0.3')
    expect(await echoes(other, 'another')).toBe('another')
    const six = await lab.dial(lab.client, 'fd01::1', 8889)
    expect(await echoes(six, 'six')).toBe('six')
    expect(peers).toEqual(['::ffff:10.1.0.2', '::ffff:10.1.0.3', 'fd01::2'])
    expect(lab.traces).not.toBe('')
    for (const socket of [four, other, six]) {
      socket.end()
      await once(socket.resume(), 'end')
    }
    for (const lease of leases) await lease.release({ signal: AbortSignal.timeout(5000) })
    await lab.splice.close()
    expect(lab.traces).toBe('')
    expect(lab.record.left).toEqual([])
  })

  it('does so for datagrams', async () => {
    await using lab = new KeepLab()
    const { peers } = await lab.serveUdp(lab.target, 53)
    await lab.keep({ listen: '0.0.0.0:5353/udp', target: `${targetAddress}:53` })
    await lab.keep({ listen: '[::]:5354/udp', target: '[fd02::2]:53' })
    expect(await echoesUdp(lab.client, hostAddress, 5353, 'who')).toBe('who')
    expect(await echoesUdp(lab.client, 'fd01::1', 5354, 'who')).toBe('who')
    expect(peers).toEqual(['::ffff:10.1.0.2', 'fd01::2'])
  })

  it('carries this machine’s own clients as this machine', async () => {
    await using lab = new KeepLab()
    const { peers } = lab.serve(lab.target, 80)
    const asked = await lab.serveUdp(lab.target, 53)
    await lab.keep({ listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    await lab.keep({ listen: '[::]:8889', target: '[fd02::2]:80' })
    await lab.keep({ listen: '0.0.0.0:5353/udp', target: `${targetAddress}:53` })
    for (const [address, port] of [
      ['127.0.0.1', 8888],
      [hostAddress, 8888],
      ['::1', 8889],
      ['fd01::1', 8889],
    ] as const)
      expect(await echoes(await lab.dial(lab.host, address, port), address)).toBe(address)
    expect(peers).toEqual(['::ffff:10.2.0.1', `::ffff:${hostAddress}`, 'fd02::1', 'fd01::1'])
    for (const address of ['127.0.0.1', hostAddress])
      expect(await echoesUdp(lab.host, address, 5353, address)).toBe(address)
    expect(asked.peers).toEqual(['::ffff:10.2.0.1', `::ffff:${hostAddress}`])
  })

  it('a connection that outlives its rule keeps its way back', async () => {
    await using lab = new KeepLab()
    lab.serve(lab.target, 80)
    const lease = await lab.keep({ listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    const socket = await lab.dial(lab.client, hostAddress, 8888)
    expect(await echoes(socket, 'before')).toBe('before')
    await lease.retire()
    expect(await echoes(socket, 'after')).toBe('after')
    socket.end()
    await once(socket.resume(), 'end')
  })

  it('what a killed process left is undone from the journal', async () => {
    await using lab = new KeepLab()
    const dead = `4194303-1-${pidNamespace()}`
    const { record } = lab
    const keeper = new TproxyRules(lab.machine.runner, dead)
    await keeper.hold({ record, signal: AbortSignal.timeout(10_000) })
    expect(lab.traces).toContain('naru_keep_4194303_1_')
    await lab.splice.undo({ keep: dead })
    await lab.splice.undo({ keep: dead })
    expect(lab.traces).toBe('')
  })

  it('is not in the way of a Naru of the same number in another container on this network', async () => {
    await using lab = new KeepLab()
    const { peers } = lab.serve(lab.target, 80)
    await lab.keep({ listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    const other = new TproxyRules(lab.machine.runner, `${thisOwner()}-1`)
    const drop = await other.hold({ record: lab.record, signal: AbortSignal.timeout(10_000) })
    // Whoever comes last does not take it for a dead process's either.
    const last = new TproxyRules(lab.machine.runner, `1-1-2`)
    await (
      await last.hold({ record: lab.record, signal: AbortSignal.timeout(10_000) })
    )()
    await drop()
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'still')).toBe('still')
    expect(peers).toEqual(['::ffff:10.1.0.2'])
  })

  it('says no where it cannot be, and why', () => {
    const splice = new SpliceEngine({ host: testHost, clock: systemClock, log: silentLog })
    const rule = parseRule('kept', { listen: '0.0.0.0:8888', target: '10.2.0.2:80', source: 'keep' })
    expect(splice.supports(rule, may)).toMatchObject({ ok: true })
    expect(splice.supports(rule, { ...may, capabilities: [] })).toMatchObject({
      ok: false,
      why: { en: 'keeping the client’s address needs root or CAP_NET_ADMIN' },
    })
    const both = parseRule('kept', { listen: 8888, target: '10.2.0.2:80', source: 'keep' })
    expect(splice.supports(both, may)).toMatchObject({ ok: false })
  })
})
