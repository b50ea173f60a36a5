import { expect, it } from 'vitest'
import { SingleFlight } from './single-flight.ts'

const never = new AbortController().signal

it('is asked once however many ask meanwhile, and anew afterwards', async () => {
  let asked = 0
  const shared = new SingleFlight('it', () => Promise.resolve(++asked))
  expect(await Promise.all([1, 2, 3].map(() => shared.get(never)))).toEqual([1, 1, 1])
  expect(await shared.get(never)).toBe(2)
})

it('lets one leave without disturbing the others, and stops when all have left', async () => {
  const signals: AbortSignal[] = []
  const shared = new SingleFlight(
    'it',
    (signal) =>
      new Promise<never>((_, reject) => {
        signals.push(signal)
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      }),
  )
  const [one, other] = [new AbortController(), new AbortController()]
  const waiting = [shared.get(one.signal), shared.get(other.signal)].map((answer) =>
    answer.catch((why: unknown) => why),
  )
  one.abort(new Error('one'))
  expect(await waiting[0]).toMatchObject({ code: 'ABORTED', cause: { message: 'one' } })
  expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  other.abort(new Error('other'))
  expect(await waiting[1]).toMatchObject({ code: 'ABORTED', cause: { message: 'other' } })
  expect([signals[0]?.aborted, shared.underWay]).toEqual([true, false])
})

it('tells everybody that it failed', async () => {
  const shared = new SingleFlight('it', () => Promise.reject(new Error('no')))
  const all = await Promise.allSettled([shared.get(never), shared.get(never)])
  expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})
