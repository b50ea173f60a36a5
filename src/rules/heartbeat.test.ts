import { expect, it, vi } from 'vitest'
import { HandClock } from '../../test/fakes/parts.ts'
import { neverAborted } from '../base/on-abort.ts'
import { Heartbeat } from './heartbeat.ts'
import type { RuleRun } from './rule-run.ts'

/** Rules that nobody has looked at yet, and that hold nothing which ends. */
function untried(count: number) {
  const renewDue = vi.fn(() => Promise.resolve())
  const runs = Array.from({ length: count }, (_, at) => {
    const run = {
      name: `r${at}`,
      rule: { enabled: true, until: null },
      isUntried: true,
      isDue: () => false,
      renewDue,
      sweepRetired: () => {},
      leases: () => [],
    }
    return run
  })
  return { runs: new Map(runs.map((run) => [run.name, run as unknown as RuleRun])), renewDue }
}

it('looks first at many rules together, at no more of them in a second than ever', async () => {
  const clock = new HandClock()
  const { runs, renewDue } = untried(2500)
  const looks: number[] = []
  using _beating = new Heartbeat({
    clock,
    signal: neverAborted,
    runs: () => runs,
    examine: (some) => {
      looks.push(some.length)
      for (const run of some) (run as { isUntried: boolean }).isUntried = false
      return Promise.resolve()
    },
    apply: () => Promise.resolve([]),
    sample: () => {},
    tell: () => {},
  })
  for (let half = 1; half <= 23; half++) await clock.advance(500)
  expect(looks).toEqual([1000, 1000, 500])
  // Nothing of them is due, and none is asked to renew.
  expect(renewDue).not.toHaveBeenCalled()
})
