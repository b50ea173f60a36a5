import { expect, it } from 'vitest'
import type { CloseReason } from '../../../model/connection.ts'
import { Admission } from '../../../relay/admit.ts'
import { LocalTally } from '../../../relay/tally.ts'
import { FlowBase } from './flow.ts'
import type { RuleRevision } from './rule-revision.ts'
import { SwapList } from './swap-list.ts'
import type { Thread } from './thread.ts'

class Broken extends FlowBase {
  onDeadline(): void {}
  protected release(): void {
    throw new Error('unforeseen')
  }
}

it('a fault at its end takes neither its place within the limits nor its record with it', () => {
  const tally = new LocalTally()
  const limits = { connections: 1, perSource: null, newPerSecond: null }
  const admitted = new Admission({ allow: [], deny: [], limits }, tally).admit('10.0.0.1', 0)
  const ended: CloseReason[] = []
  const counted: CloseReason[] = []
  const nothing = (): void => {}
  const thread = {
    records: { begin: () => 0, end: (_: number, why: CloseReason) => ended.push(why), free: nothing },
    eventBatch: { opened: nothing, closed: nothing },
    loop: { wall: 0, now: 0, deadlines: { drop: nothing } },
  } as unknown as Thread
  const carried = new SwapList<FlowBase>()
  const ruleOnThread = {
    cells: new Float64Array(64),
    carried,
    count: (why: CloseReason) => counted.push(why),
  }
  const revision = { id: 0, ruleOnThread } as unknown as RuleRevision
  const broken = new Broken(thread, revision, 0, new Uint8Array(16), admitted.ok ? admitted.ticket : null)
  expect(tally.open).toBe(1)
  expect(() => broken.end('idle')).toThrow('unforeseen')
  expect({ open: tally.open, ended, counted, carried: carried.all() }).toEqual({
    open: 0,
    ended: ['idle'],
    counted: ['idle'],
    carried: [],
  })
  // Twice is harmless.
  broken.end('cut')
  expect(ended).toEqual(['idle'])
})
