import { expect, it } from 'vitest'
import type { Clock } from '../../base/clock.ts'
import type { Runner } from '../../host/contract.ts'
import { FlowOffloading } from './offloading.ts'
import { ConntrackPoll, type PolledRule } from './conntrack-poll.ts'

it('however long a look takes, the next one is not so late that a reset goes by unseen', async () => {
  let now = 0
  const pauses: number[] = []
  const waiting: (() => void)[] = []
  const clock = {
    now: () => now,
    monotonic: () => now,
    after: (ms: number, run: () => void) => {
      pauses.push(ms)
      waiting.push(run)
      return { [Symbol.dispose]: () => {} }
    },
  } as unknown as Clock
  const runner = {
    run: () => {
      now += 2000
      return Promise.resolve({ exit: 0, stdout: '', stderr: '' })
    },
  } as unknown as Runner
  const watch = new ConntrackPoll(runner, clock, new FlowOffloading(clock))
  const watched = {
    traffic: { openCount: 1, seen: () => {} },
    family: 4,
    offloads: () => false,
    arrivals: () => [],
    looked: () => {},
  } as unknown as PolledRule
  watch.add(watched)
  waiting.pop()?.()
  while (pauses.length < 2) await Promise.resolve()
  // conntrack keeps it for 10 s (nf_conntrack_tcp_timeout_close).
  expect((pauses[1] as number) + now).toBeLessThan(10_000)
  watch.stop()
})
