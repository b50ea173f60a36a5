import { expect, it } from 'vitest'
import { Admission } from './admit.ts'
import { Room, type Seat } from './room.ts'
import { LocalTally } from './tally.ts'

/** A room of sessions that are named after their client, in the order of their going. */
function roomOf(most: number, limits: { connections?: number; perSource?: number } = {}) {
  const counts = { connections: null, perSource: null, newPerSecond: null, ...limits }
  const admission = new Admission({ allow: [], deny: [], limits: counts }, new LocalTally())
  const gone: string[] = []
  const seats = new Map<string, { seat: Seat<string>; leave: () => void }>()
  const room = new Room<string>({
    most,
    evict: (session) => {
      gone.push(session)
      seats.get(session)?.leave()
    },
  })
  /** @returns why it was refused, or null. */
  const come = (address: string, nowMs = 0): string | null => {
    const admitted = room.admit(admission, address, nowMs, false)
    if (!admitted.ok) return admitted.reason
    const seat = room.take(address, address, nowMs)
    const leave = (): void => {
      admitted.ticket.release()
      room.leave(seat)
      seats.delete(address)
    }
    seats.set(address, { seat, leave })
    return null
  }
  const hear = (address: string, from: 'client' | 'target', nowMs = 0): void =>
    room.heard(seats.get(address)!.seat, from, nowMs)
  return { gone, room, come, hear }
}

/** A question, an answer, and another question. */
function talk({ hear }: ReturnType<typeof roomOf>, address: string, nowMs = 0): void {
  for (const from of ['client', 'target', 'client'] as const) hear(address, from, nowMs)
}

it('those whom nobody answers make room first, then who was silent longest, conversations last', () => {
  const world = roomOf(12)
  const { come, hear, gone } = world
  for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) come(address)
  talk(world, '10.0.0.1')
  hear('10.0.0.2', 'target')
  for (let at = 1; at <= 9; at++) come(`10.1.0.${at}`, at)
  come('10.2.0.1', 5000)
  expect(gone).toEqual(['10.0.0.3'])
  // None of those that are left had the time to be answered.
  come('10.2.0.2', 5000)
  expect(gone.at(-1)).toBe('10.0.0.2')
  for (let at = 3; at <= 13; at++) come(`10.2.0.${at}`, 5000)
  expect(gone).toHaveLength(13)
  expect(gone).not.toContain('10.0.0.1')
})

it('a burst of questions pushes out those that were answered before, and none of its own', () => {
  const { come, hear, gone } = roomOf(40)
  const old = Array.from({ length: 4 }, (_, block) =>
    Array.from({ length: 10 }, (_, at) => `10.0.${block}.${at}`),
  )
  for (const [at, address] of old.flat().entries()) {
    come(address, at)
    hear(address, 'target', at)
  }
  for (let at = 0; at < 20; at++) come(`10.1.0.${at}`, 100)
  expect(gone).toEqual(old.flat().slice(0, 20))
})

it('where the process has no place left, the conversation that was silent longest goes', () => {
  const world = roomOf(2)
  for (const [at, address] of ['10.0.0.1', '10.0.0.2'].entries()) {
    world.come(address, at)
    talk(world, address, at)
  }
  expect(world.come('10.0.0.3', 2)).toBeNull()
  expect(world.gone).toEqual(['10.0.0.1'])
})

it('a conversation keeps its place within the rule’s limits, and loses it once it was silent for 30 s', () => {
  const world = roomOf(100, { connections: 1 })
  world.come('10.0.0.1')
  talk(world, '10.0.0.1')
  expect(world.come('10.0.0.2', 29_999)).toBe('limit-connections')
  expect(world.come('10.0.0.2', 30_000)).toBeNull()
  expect(world.gone).toEqual(['10.0.0.1'])
})

it('a limit by source is met among that source’s own, of which an IPv6 /64 is one', () => {
  const { come, gone } = roomOf(100, { perSource: 2 })
  come('2001:db8:0:6::1')
  come('2001:db8:0:5::1')
  come('2001:db8:0:5::2')
  expect(come('2001:db8:0:5:aaaa::3')).toBeNull()
  expect(gone).toEqual(['2001:db8:0:5::1'])
})

it('one source has a quarter of the room at most, whatever its addresses within a /64', () => {
  const { come, gone, room } = roomOf(40)
  come('10.0.0.1')
  for (let at = 1; at <= 50; at++) come(`2001:db8::${at.toString(16)}`)
  expect(room.size).toBe(11)
  expect(gone).toHaveLength(40)
  expect(gone).not.toContain('10.0.0.1')
})

it('who asks for room does not make it', () => {
  const { come, room, gone } = roomOf(10)
  come('10.0.0.1')
  expect(room.makeRoom(0, '10.0.0.1')).toBe(false)
  come('10.0.0.2')
  expect(room.makeRoom(0, '10.0.0.1')).toBe(true)
  expect(gone).toEqual(['10.0.0.2'])
})

it('a place that is left is gone from every count', () => {
  const { come, room, gone } = roomOf(4, { perSource: 1 })
  for (let at = 0; at < 1000; at++) expect(come('10.0.0.1', at)).toBeNull()
  expect(gone).toHaveLength(999)
  expect(room.size).toBe(1)
  expect(room.seats()).toHaveLength(1)
})
