/**
 * What every firewall member promises, told by packets: a client in another namespace gets in, or does not. After a
 * release everything is byte for byte as it was.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseCidr } from '../../../src/base/address.ts'
import type { Protocol } from '../../../src/base/port.ts'
import type { FirewallMember, FirewallRequest } from '../../../src/firewalls/contract.ts'
import { detectFirewall } from '../../../src/firewalls/index.ts'
import type { Host, Runner } from '../../../src/host/contract.ts'
import type { Lease } from '../../../src/model/hop.ts'
import type { LabFirewall } from '../../lab/firewalls.ts'
import { Lab, type LabHost } from '../../lab/namespaces.ts'
import { answering, knock } from '../../lab/packets.ts'
import { MemoryRecorder } from '../../fakes/recorder.ts'

export interface Stand {
  readonly name: string
  readonly member: FirewallMember
  /** Puts the firewall up on a host whose interface is `eth0`. */
  start(host: LabHost): LabFirewall | Promise<LabFirewall>
  /** Takes our opening of this port away behind our back, as a reload of the firewall does. */
  lose(firewall: LabFirewall, port: number): void
  /** Adds a rule that blocks TCP on this port before all others; null where the tool has none. */
  block(firewall: LabFirewall, port: number): void
  /** Commands that add to this firewall: the second of them is made to fail. */
  readonly changes: RegExp
  /** Its tool starts an interpreter each time: what another test shows too is left out. @default false */
  readonly slow?: boolean
  /** Most programs for opening, looking at or closing many at once. @default one for each, as its tool takes no more */
  readonly programs?: number
  /** How the command begins that one would type with rights. */
  readonly byHand: string
}

export const own = { four: '10.1.0.1', six: 'fd00:1::1' }
export const client = { four: '10.1.0.2', other: '10.1.0.3', six: 'fd00:1::2' }
export const signal = (): AbortSignal => AbortSignal.timeout(15_000)

export function request(port: number, more: Partial<FirewallRequest> = {}): FirewallRequest {
  return {
    rule: 'web',
    protocols: ['tcp'],
    ports: { first: port, last: port },
    address: null,
    allow: [],
    ...more,
  }
}

export class Scene implements AsyncDisposable {
  readonly lab = new Lab()
  readonly inside = this.lab.host('inside')
  readonly outside = this.lab.host('outside')

  constructor() {
    this.lab.cable(
      { host: this.inside, interface: 'eth0', addresses: [`${own.four}/24`, `${own.six}/64`] },
      {
        host: this.outside,
        interface: 'eth0',
        addresses: [`${client.four}/24`, `${client.other}/24`, `${client.six}/64`],
      },
    )
    this.inside.ip('route', 'add', 'default', 'via', client.four)
  }

  async reach(protocol: Protocol, port: number, address = own.four, from?: string): Promise<string> {
    await using _server = await answering(this.inside, protocol, port)
    return await knock(this.outside, { protocol, address, port, ...(from ? { from } : {}) })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.lab[Symbol.asyncDispose]()
  }
}

export function conformance(stand: Stand): void {
  describe(stand.name, { timeout: 60_000 }, () => {
    const { member } = stand
    let scene: Scene
    let firewall: LabFirewall
    let host: Host

    beforeAll(async () => {
      scene = new Scene()
      firewall = await stand.start(scene.inside)
      host = firewall.host
    })
    afterAll(async () => {
      await firewall?.[Symbol.asyncDispose]()
      await scene?.[Symbol.asyncDispose]()
    })

    const open = (wanted: FirewallRequest, journal = new MemoryRecorder(), on: Host = host): Promise<Lease> =>
      member.open(wanted, { host: on, signal: signal(), record: journal })
    const look = { signal: AbortSignal.timeout(600_000) }

    it('is the one that is detected', async () => {
      expect((await detectFirewall({ host, signal: signal() })).id).toBe(member.id)
    })

    it.each([['tcp', own.four] as const, ...(stand.slow ? [] : [['udp', own.six] as const])])(
      'lets %s to %s in while the lease is held, and leaves everything as it was',
      async (protocol, address) => {
        const before = firewall.snapshot()
        expect(await scene.reach(protocol, 8888, address)).not.toBe('in')
        const lease = await open(request(8888, { protocols: [protocol] }))
        expect(await scene.reach(protocol, 8888, address)).toBe('in')
        expect(await scene.reach(protocol, 8889, address)).not.toBe('in')
        expect(await lease.verify(look)).toMatchObject({ state: 'held' })
        await lease.release(look)
        await lease.release(look)
        expect(await scene.reach(protocol, 8888, address)).not.toBe('in')
        expect(firewall.snapshot()).toBe(before)
      },
    )

    it('goes on with what a predecessor has: nothing is added, nothing taken away', async () => {
      const before = firewall.snapshot()
      const journal = new MemoryRecorder()
      await open(request(8888), journal)
      const there = firewall.snapshot()
      const next = new MemoryRecorder(journal.left)
      const lease = await open(request(8888), next)
      expect(firewall.snapshot()).toBe(there)
      expect(next.left).toEqual(journal.left)
      expect(await lease.verify(look)).toMatchObject({ state: 'held' })
      await lease.release(look)
      expect(firewall.snapshot()).toBe(before)
    })

    it('opens a range of both protocols as one lease', async () => {
      const before = firewall.snapshot()
      const lease = await open(request(0, { ports: { first: 8000, last: 8010 }, protocols: ['tcp', 'udp'] }))
      expect(await scene.reach('tcp', 8000)).toBe('in')
      expect(await scene.reach('udp', 8010)).toBe('in')
      expect(await scene.reach('tcp', 8010, own.six)).toBe('in')
      expect(await scene.reach('tcp', 8011)).not.toBe('in')
      await lease.release(look)
      expect(firewall.snapshot()).toBe(before)
    })

    it('carries the allow-list, each family its own', async () => {
      const before = firewall.snapshot()
      const allow = ['10.1.0.2', '10.9.0.0/16', 'fd00:1::/64'].map(parseCidr)
      const lease = await open(request(8888, { allow }))
      expect(await scene.reach('tcp', 8888, own.four, client.four)).toBe('in')
      expect(await scene.reach('tcp', 8888, own.four, client.other)).not.toBe('in')
      expect(await scene.reach('tcp', 8888, own.six)).toBe('in')
      await lease.release(look)
      expect(firewall.snapshot()).toBe(before)
    })

    it('opens one local address alone', async () => {
      const before = firewall.snapshot()
      const lease = await open(request(8888, { address: own.four }))
      expect(await scene.reach('tcp', 8888, own.four)).toBe('in')
      expect(await scene.reach('tcp', 8888, own.six)).not.toBe('in')
      await lease.release(look)
      expect(firewall.snapshot()).toBe(before)
    })

    it('explains with the rule that decides, before and after, and names what is ours', async () => {
      const ask = (from: string | null, port = 8888) =>
        member.explain({ protocol: 'tcp', port, from }, { host, signal: signal() })
      expect((await ask(null)).verdict).toBe('blocked')
      const lease = await open(request(8888, { allow: [parseCidr('10.1.0.2')] }))
      expect((await ask(null)).verdict).toBe('blocked')
      const answer = await ask(client.four)
      expect(answer.verdict).toBe('allowed')
      expect(answer.by).toContain('8888')
      expect((await ask(client.other)).verdict).toBe('blocked')
      const { active, defaultInput, open: ports } = await member.status({ host, signal: signal() })
      expect({ active, defaultInput }).toEqual({ active: true, defaultInput: 'block' })
      expect(ports.filter(({ ours }) => ours === 'web').map(({ ports: range }) => range?.first)).toEqual([
        8888,
      ])
      await lease.release(look)
    })

    it('says that an opening was lost, and opens it again', async () => {
      const before = firewall.snapshot()
      const lease = await open(request(8888))
      stand.lose(firewall, 8888)
      expect(await lease.verify(look)).toMatchObject({ state: 'lost', why: { code: 'FIREWALL_LOST' } })
      await lease.renew(look)
      expect(await lease.verify(look)).toMatchObject({ state: 'held' })
      expect(await scene.reach('tcp', 8888)).toBe('in')
      await lease.release(look)
      expect(firewall.snapshot()).toBe(before)
    })

    it('is undone from the journal alone, twice without harm', async () => {
      const before = firewall.snapshot()
      const journal = new MemoryRecorder()
      await open(request(8888, { protocols: ['tcp', 'udp'] }), journal)
      const effects = journal.left
      expect(effects).not.toEqual([])
      for (const effect of [...effects, ...effects])
        await member.undo(JSON.parse(JSON.stringify(effect)), { host, signal: signal() })
      expect(await scene.reach('tcp', 8888)).not.toBe('in')
      expect(firewall.snapshot()).toBe(before)
    })

    it('writes the intent before each change, so that one never done is undone in peace', async () => {
      const before = firewall.snapshot()
      const journal = new MemoryRecorder()
      const stopped = watching(host, stand.changes, () => Promise.reject(new Error('killed')))
      await expect(open(request(8888), journal, stopped)).rejects.toThrow('killed')
      for (const effect of journal.written) await member.undo(effect, { host, signal: signal() })
      expect(journal.written).not.toEqual([])
      expect(firewall.snapshot()).toBe(before)
    })

    it('takes back the first half where the second fails', async () => {
      const before = firewall.snapshot()
      let calls = 0
      const failing = watching(host, stand.changes, (run) =>
        ++calls === 2 ? Promise.resolve({ exit: 1, stdout: '', stderr: 'no space left' }) : run(),
      )
      const journal = new MemoryRecorder()
      const both = {
        protocols: ['tcp', 'udp'],
        allow: [parseCidr('10.1.0.2'), parseCidr('fd00:1::2')],
      } as const
      const opened = await open(request(8888, both), journal, failing).catch((error: unknown) => error)
      if (calls >= 2) expect(opened).toMatchObject({ code: 'COMMAND_FAILED' })
      else await (opened as Lease).release(look)
      expect(journal.left).toEqual([])
      expect(firewall.snapshot()).toBe(before)
    })

    it.skipIf(stand.programs === undefined)('opens, looks at and closes many as one', async () => {
      const before = firewall.snapshot()
      const many = Array.from({ length: 40 }, (_, at) => 8100 + at)
      const journal = new MemoryRecorder()
      let programs = 0
      const counting = watching(host, /^(?!ip )/, (run) => (programs++, run()))
      const few = async <T>(work: readonly Promise<T>[]): Promise<T[]> => {
        programs = 0
        const done = await Promise.all(work)
        expect(programs).toBeLessThanOrEqual(stand.programs ?? 0)
        return done
      }
      const leases = await few(many.map((port) => open(request(port), journal, counting)))
      expect(await scene.reach('tcp', 8100)).toBe('in')
      expect(await scene.reach('tcp', 8139)).toBe('in')
      const verdicts = await few(leases.map((lease) => lease.verify(look)))
      expect(verdicts.every(({ state }) => state === 'held')).toBe(true)
      await few(leases.slice(1).map((lease) => lease.release(look)))
      expect(await scene.reach('tcp', 8100)).toBe('in')
      expect(await scene.reach('tcp', 8139)).not.toBe('in')
      await few(journal.left.map((effect) => member.undo(effect, { host: counting, signal: signal() })))
      expect(firewall.snapshot()).toBe(before)
    })

    it('looks by no program while nobody changes the filter, and at once where somebody did', async ({
      skip,
    }) => {
      if (firewall.kind === 'iptables-legacy') skip('it tells nobody of its changes')
      const before = firewall.snapshot()
      let programs = 0
      const counting = watching(host, /^(?!ip )/, (run) => (programs++, run()))
      const lease = await open(request(8888), new MemoryRecorder(), counting)
      await lease.verify(look)
      programs = 0
      for (let looks = 0; looks < 3; looks++) await lease.verify(look)
      expect(programs).toBe(0)
      firewall.run(['nft', 'add', 'table', 'inet', 'somebody'])
      await lease.verify(look)
      expect(programs).toBeGreaterThan(0)
      firewall.run(['nft', 'delete', 'table', 'inet', 'somebody'])
      await lease.release(look)
      expect(firewall.snapshot()).toBe(before)
    })

    it('one that is refused fails alone among many that are asked for at once', async () => {
      const before = firewall.snapshot()
      const journal = new MemoryRecorder()
      const refused = { exit: 1, stdout: '', stderr: 'no space left' }
      const failing = watching(host, stand.changes, (run, said) =>
        said.includes('8102') ? Promise.resolve(refused) : run(),
      )
      const ports = [8100, 8101, 8102, 8103, 8104]
      const opened = await Promise.allSettled(ports.map((port) => open(request(port), journal, failing)))
      expect(opened.map(({ status }) => status)).toEqual(
        ports.map((port) => (port === 8102 ? 'rejected' : 'fulfilled')),
      )
      expect(opened[2]).toMatchObject({ reason: { code: 'COMMAND_FAILED' } })
      expect(journal.left).toHaveLength(4)
      expect(await scene.reach('tcp', 8104)).toBe('in')
      expect(await scene.reach('tcp', 8102)).not.toBe('in')
      const leases = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      await Promise.all(leases.map((lease) => lease.release(look)))
      expect(journal.left).toEqual([])
      expect(firewall.snapshot()).toBe(before)
    })

    it('without rights names the very command, and changes nothing', async () => {
      const before = firewall.snapshot()
      const journal = new MemoryRecorder()
      const opened = open(request(8888), journal, firewall.unprivileged)
      await expect(opened).rejects.toMatchObject({ code: 'NOT_PERMITTED', exitCode: 4 })
      await expect(opened).rejects.toHaveProperty('fix.en', expect.stringContaining(stand.byHand))
      expect(await member.byHand?.(request(8888), { host, signal: signal() })).toContain(stand.byHand)
      expect(journal.left).toEqual([])
      expect(firewall.snapshot()).toBe(before)
    })

    it('keeps a port open for the second rule until the last is closed', async () => {
      const before = firewall.snapshot()
      for (const order of [[0, 1] as const, ...(stand.slow ? [] : [[1, 0] as const])]) {
        const leases = [await open(request(8888)), await open(request(8888, { rule: 'api' }))] as const
        await leases[order[0]].release(look)
        expect(await scene.reach('tcp', 8888)).toBe('in')
        expect(await leases[order[1]].verify(look)).toMatchObject({ state: 'held' })
        await leases[order[1]].release(look)
        expect(await scene.reach('tcp', 8888)).not.toBe('in')
        expect(firewall.snapshot()).toBe(before)
      }
    })

    it('wins over a block that was there, and respects one that comes later', async () => {
      stand.block(firewall, 8866)
      const before = firewall.snapshot()
      expect(
        await member.explain({ protocol: 'tcp', port: 8866, from: null }, { host, signal: signal() }),
      ).toMatchObject({ verdict: 'blocked', by: expect.stringContaining('8866') })
      const lease = await open(request(8866))
      expect(await scene.reach('tcp', 8866)).toBe('in')
      await lease.release(look)
      expect(firewall.snapshot()).toBe(before)
      const later = await open(request(8867))
      stand.block(firewall, 8867)
      expect(await later.verify(look)).toMatchObject({ state: 'lost', why: { code: 'FIREWALL_OVERRULED' } })
      await expect(later.renew(look)).rejects.toMatchObject({ code: 'FIREWALL_OVERRULED' })
      await later.release(look)
    })
  })
}

/** The same host, with every command that `pattern` matches handed to `instead`. */
export function watching(
  host: Host,
  pattern: RegExp,
  instead: (run: () => ReturnType<Runner['run']>, said: string) => ReturnType<Runner['run']>,
): Host {
  const runner: Runner = {
    hold: (argv, options) => host.runner.hold(argv, options),
    run: (argv, options) => {
      const run = (): ReturnType<Runner['run']> => host.runner.run(argv, options)
      const said = `${argv.join(' ')} ${typeof options.input === 'string' ? options.input : ''}`
      return pattern.test(said) ? instead(run, said) : run()
    },
  }
  return { ...host, runner }
}
