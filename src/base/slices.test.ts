import { expect, it } from 'vitest'
import { Slices } from './slices.ts'

/** Holds the thread for so long. */
function work(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

it('gives others turns while much is done, one piece after the other or all asked for at once', async () => {
  for (const atOnce of [false, true]) {
    const slices = new Slices()
    const done: number[] = []
    const piece = async (number: number): Promise<void> => {
      await slices.next()
      work(3)
      done.push(number)
    }
    const numbers = Array.from({ length: 40 }, (_, number) => number)
    const doneAtTurn: number[] = []
    const turn = (): void => {
      doneAtTurn.push(done.length)
      if (done.length < numbers.length) setImmediate(turn)
    }
    setImmediate(turn)
    if (atOnce) await Promise.all(numbers.map(piece))
    else for (const number of numbers) await piece(number)
    expect(done).toEqual(numbers)
    // Three milliseconds each, five a turn: no turn has many, and there is one for each few of them.
    expect(doneAtTurn.length).toBeGreaterThan(10)
    const most = doneAtTurn.map((count, at) => count - (doneAtTurn[at - 1] ?? 0))
    expect(Math.max(...most)).toBeLessThan(6)
  }
})
