/**
 * What every kind of guest promises, whatever its hypervisor. A kind's setup tells how its hypervisor looks from
 * within: a snapshot to compare, a hand that removes a forward, and a way to make it fall silent.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GuestForwardRequest, GuestMember } from '../../../src/guests/contract.ts'
import type { Host } from '../../../src/host/contract.ts'
import type { Effect, Json, Recorder } from '../../../src/model/hop.ts'
import { MemoryRecorder } from '../../fakes/recorder.ts'

export interface GuestSetup extends AsyncDisposable {
  readonly member: GuestMember
  readonly host: Host
  /** A guest that runs. */
  readonly running: string
  /** One that is known and off; null where the hypervisor forgets those. */
  readonly stopped: string | null
  /** A name that two guests have; null where it cannot be. */
  readonly twins: string | null
  /** Null where the guest is only reached by a forward. */
  readonly address: string | null
  /** Null where the kind adds no forward of its own. */
  readonly forwards: Forwarding | null
  /** From now on the hypervisor takes questions and gives no answer. */
  silence(): void
  /** The guest gets another address, which is returned; null where the fake cannot. */
  move?(): string
}

export interface Forwarding {
  /** Ports asked for; null lets the member choose. */
  readonly hostPorts: GuestForwardRequest['hostPorts']
  readonly guestPort: number
  /** All that the hypervisor keeps, to be compared before and after. */
  snapshot(): unknown
  /** Somebody removes every forward behind our back. */
  lose(): void
  /** The next change is refused. */
  refuseNext(): void
  /** The guest ends and its hypervisor is asked afterwards; left out where forwards go with it. */
  stopGuest?(): void
}

export interface GuestTraits {
  /** What this kind can show; the rest of the suite goes without. */
  readonly has: readonly ('stopped' | 'twins' | 'forwards' | 'lasting-forwards')[]
  /** How long a silent hypervisor is waited for. @default 3000 */
  readonly silentMs?: number
}

export function guestConformance(
  name: string,
  { has, silentMs = 3000 }: GuestTraits,
  setup: () => Promise<GuestSetup>,
): void {
  const itWith = (trait: GuestTraits['has'][number], promise: string, body: () => Promise<void>): void => {
    if (has.includes(trait)) it(promise, body)
  }
  describe(`${name} as a guest`, () => {
    let here: GuestSetup
    const signal = AbortSignal.timeout(120_000)
    const options = (): { host: Host; signal: AbortSignal } => ({ host: here.host, signal })
    beforeEach(async () => void (here = await setup()))
    afterEach(() => here[Symbol.asyncDispose]())

    it('says that its hypervisor is here', async () => {
      const answer = await here.member.detect(options())
      expect(answer.ok).toBe(true)
      expect(answer.why.ko).not.toBe('')
    })

    it('lists guests by name and state', async () => {
      const guests = await here.member.list(options())
      const states = new Map(guests.map((guest) => [guest.name, guest.state]))
      expect(states.get(here.running)).toBe('running')
      if (here.stopped !== null) expect(states.get(here.stopped)).toBe('stopped')
      for (const guest of guests) expect(guest).toMatchObject({ kind: here.member.kind })
    })

    it('resolves a name to the address it has now', async () => {
      if (here.address === null) {
        await expect(here.member.resolve(here.running, options())).rejects.toMatchObject({
          code: 'GUEST_NO_ADDRESS',
        })
        expect(await here.member.reach(here.running, options())).toBe('nat')
        return
      }
      const { addresses, ttlMs } = await here.member.resolve(here.running, options())
      expect(addresses[0]).toBe(here.address)
      expect(ttlMs).toBeGreaterThan(0)
      if (!here.move) return
      const next = here.move()
      expect((await here.member.resolve(here.running, options())).addresses[0]).toBe(next)
    })

    it('lists the guests there are where a name is unknown', async () => {
      await expect(here.member.resolve('no-such-guest', options())).rejects.toMatchObject({
        code: 'GUEST_UNKNOWN',
        message: expect.stringContaining(here.running) as string,
      })
    })

    itWith('stopped', 'says that a guest is off, and how to start it', async () => {
      const failure = here.member.resolve(here.stopped as string, options())
      await expect(failure).rejects.toMatchObject({ code: 'GUEST_STOPPED' })
      await failure.catch((error: { fix: { en: string } }) =>
        expect(error.fix.en).toContain(here.stopped as string),
      )
    })

    itWith('twins', 'refuses a name that two guests have', async () => {
      await expect(here.member.resolve(here.twins as string, options())).rejects.toMatchObject({
        code: 'GUEST_AMBIGUOUS',
      })
    })

    it('names a hypervisor that gives no answer', async () => {
      here.silence()
      const began = performance.now()
      await expect(here.member.resolve(here.running, options())).rejects.toMatchObject({
        code: 'GUEST_SILENT',
      })
      expect(performance.now() - began).toBeLessThan(silentMs + 1500)
    }, 20_000)

    it('stops asking when it is told to', async () => {
      here.silence()
      const stop = new AbortController()
      const asked = here.member.resolve(here.running, { host: here.host, signal: stop.signal })
      setTimeout(() => stop.abort(new Error('enough')), 50)
      await expect(asked).rejects.toThrow()
    })

    it('has nothing to undo in an effect that it never wrote', async () => {
      await here.member.undo({ something: 'else' }, options())
    })

    describe('forwarding', () => {
      const request = (change: Partial<GuestForwardRequest> = {}): GuestForwardRequest => ({
        rule: 'web',
        name: here.running,
        protocol: 'tcp',
        hostAddress: null,
        hostPorts: here.forwards?.hostPorts ?? null,
        guestPorts: { first: here.forwards?.guestPort ?? 80, last: here.forwards?.guestPort ?? 80 },
        ...change,
      })

      if (!has.includes('forwards'))
        it('says which way works where it has none', async () => {
          const record = new MemoryRecorder()
          const failure = here.member.open(request(), { ...options(), record })
          await expect(failure).rejects.toMatchObject({ code: 'GUEST_NO_FORWARD' })
          await failure.catch((error: { fix: { en: string } }) =>
            expect(error.fix.en).toContain('--guest direct'),
          )
          expect(record.written).toEqual([])
        })

      itWith(
        'forwards',
        'writes its intent before the effect, reads it back, and leaves everything as it was',
        async () => {
          const forwards = here.forwards as Forwarding
          const before = forwards.snapshot()
          const record = new SuspiciousRecorder(() => forwards.snapshot())
          const lease = await here.member.open(request(), { ...options(), record })
          expect(record.left.length).toBeGreaterThan(0)
          expect(forwards.snapshot()).not.toEqual(before)
          expect(lease.host.ports.last - lease.host.ports.first).toBe(0)
          expect(lease.describe()).toMatchObject({ member: here.member.kind })
          expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
          await lease.release({ signal })
          await lease.release({ signal })
          expect(forwards.snapshot()).toEqual(before)
          expect(record.left).toEqual([])
          // The first intent was on the disk before anything was done.
          expect(record.firstSeen).toEqual(before)
        },
      )

      itWith('forwards', 'notices that the forward was removed, and opens it again', async () => {
        const forwards = here.forwards as Forwarding
        const before = forwards.snapshot()
        const record = new MemoryRecorder()
        const lease = await here.member.open(request(), { ...options(), record })
        forwards.lose()
        expect(await lease.verify({ signal })).toMatchObject({
          state: 'lost',
          why: { code: 'GUEST_FORWARD_LOST' },
        })
        await lease.renew({ signal })
        expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
        await lease.release({ signal })
        expect(forwards.snapshot()).toEqual(before)
      })

      itWith(
        'forwards',
        'goes on with what a predecessor has: nothing is added, nothing taken away',
        async () => {
          const forwards = here.forwards as Forwarding
          const before = forwards.snapshot()
          const record = new MemoryRecorder()
          const first = await here.member.open(request(), { ...options(), record })
          const there = forwards.snapshot()
          const next = new MemoryRecorder(record.left)
          const lease = await here.member.open(request(), { ...options(), record: next })
          expect(forwards.snapshot()).toEqual(there)
          expect(lease.host).toEqual(first.host)
          expect(next.left).toEqual(record.left)
          await lease.release({ signal })
          expect(forwards.snapshot()).toEqual(before)
        },
      )

      itWith('forwards', 'is undone from the journal alone, twice', async () => {
        const forwards = here.forwards as Forwarding
        const before = forwards.snapshot()
        const record = new MemoryRecorder()
        await here.member.open(request(), { ...options(), record })
        for (const effect of [...record.left, ...record.left]) await here.member.undo(effect, options())
        expect(forwards.snapshot()).toEqual(before)
      })

      itWith('lasting-forwards', 'is undone while the guest is off', async () => {
        const forwards = here.forwards as Forwarding
        const before = forwards.snapshot()
        const record = new MemoryRecorder()
        const lease = await here.member.open(request(), { ...options(), record })
        forwards.stopGuest?.()
        expect(await lease.verify({ signal })).toMatchObject({
          state: 'lost',
          why: { code: 'GUEST_STOPPED' },
        })
        await lease.release({ signal })
        expect(forwards.snapshot()).toEqual(before)
      })

      itWith('forwards', 'leaves nothing behind where the hypervisor refuses', async () => {
        const forwards = here.forwards as Forwarding
        const before = forwards.snapshot()
        const record = new MemoryRecorder()
        forwards.refuseNext()
        await expect(here.member.open(request(), { ...options(), record })).rejects.toMatchObject({
          code: expect.stringMatching(/GUEST_REFUSED|GUEST_FORWARD_TAKEN|NOT_PERMITTED/) as string,
        })
        expect(forwards.snapshot()).toEqual(before)
        expect(record.left).toEqual([])
      })
    })
  })
}

/** Looks at the hypervisor at the moment the first intent is written. */
class SuspiciousRecorder extends MemoryRecorder implements Recorder {
  firstSeen: unknown
  readonly #look: () => unknown
  #first = true

  constructor(look: () => unknown) {
    super()
    this.#look = look
  }

  override intend(effect: Json): Promise<Effect> {
    if (this.#first) this.firstSeen = this.#look()
    this.#first = false
    return super.intend(effect)
  }
}
