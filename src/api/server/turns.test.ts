import { expect, it } from 'vitest'
import { Turns } from './turns.ts'

/** Asks `times` times, each as soon as the one before was begun. */
async function asks(turns: Turns, name: object, times: number, begun: (name: object) => void): Promise<void> {
  for (let time = 0; time < times; time++) {
    await turns.take(name)
    begun(name)
  }
}

it('begins what nobody is before at once', async () => {
  const turns = new Turns()
  const order: string[] = []
  void turns.take({}).then(() => order.push('begun'))
  await Promise.resolve()
  await Promise.resolve()
  expect(order).toEqual(['begun'])
})

it('serves whoever has just come next, whatever the others still wait for', async () => {
  const turns = new Turns()
  const begun: object[] = []
  const crowd = Array.from({ length: 200 }, () => ({}))
  const asked = crowd.map((one) => asks(turns, one, 40, (name) => begun.push(name)))
  while (begun.length < 500) await new Promise((resolve) => setImmediate(resolve))
  const before = begun.length
  const late = {}
  await turns.take(late)
  expect(begun.length - before).toBeLessThanOrEqual(1)
  await Promise.all(asked)
})

it('goes round: nobody is served again before all who wait', async () => {
  const turns = new Turns()
  const begun: object[] = []
  const three = [{ name: 'a' }, { name: 'b' }, { name: 'c' }]
  await Promise.all(three.map((one) => asks(turns, one, 4, (name) => begun.push(name))))
  for (let at = 3; at < 12; at += 3) expect(new Set(begun.slice(at, at + 3)).size).toBe(3)
})
