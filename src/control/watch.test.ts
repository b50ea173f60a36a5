import { describe, expect, it } from 'vitest'
import { systemClock } from '../base/clock.ts'
import { verbatim } from '../base/text.ts'
import type { Diagnosis } from '../model/diagnosis.ts'
import type { Finding } from '../model/finding.ts'
import { Vigil, watchCheaply, type WatchEvent } from './watch.ts'

const finding = (code: string): Finding => ({
  code,
  severity: 'blocks',
  hop: 'service',
  rule: 'web',
  title: verbatim(code),
  evidence: [],
  fixes: [],
  dependsOn: [],
})

const down = [finding('service-down')]

describe('the vigil', () => {
  const types = (vigil: Vigil, looks: readonly (readonly Finding[])[]): string[][] =>
    looks.map((causes) => vigil.look(causes).map(({ type }) => type))

  it('tells a fault when it is seen twice in a row, once', () => {
    expect(types(new Vigil(), [down, down, down])).toEqual([[], ['appeared'], []])
  })

  it('tells its end when it is missed three times in a row', () => {
    const vigil = new Vigil()
    expect(types(vigil, [down, down, [], [], down, [], [], []])).toEqual([
      [],
      ['appeared'],
      [],
      [],
      [],
      [],
      [],
      ['gone'],
    ])
    expect(vigil.standing).toEqual([])
  })

  it('never flaps: a fault that comes and goes with every look is not told', () => {
    expect(
      types(
        new Vigil(),
        Array.from({ length: 20 }, (_, turn) => (turn % 2 ? down : [])),
      ).flat(),
    ).toEqual([])
  })

  it('tells a fault within 10 s, and runs the cheap checks alone', async () => {
    const stop = new AbortController()
    const events: WatchEvent[] = []
    let slept = 0
    const clock = {
      ...systemClock,
      sleep: (ms: number) => {
        slept += ms
        if (slept > 30_000) stop.abort()
        return Promise.resolve()
      },
    }
    let toldAfterMs = 0
    await watchCheaply({
      clock,
      signal: stop.signal,
      diagnose: ({ only }) => {
        expect(only({ cheap: false } as never)).toBe(false)
        return Promise.resolve({ causes: down } as unknown as Diagnosis)
      },
      onEvent(event) {
        events.push(event)
        toldAfterMs = slept
      },
    })
    expect(events).toHaveLength(1)
    expect(toldAfterMs).toBeLessThan(10_000)
  })
})
