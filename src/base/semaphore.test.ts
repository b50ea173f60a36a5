import { expect, it } from 'vitest'
import { Semaphore } from './semaphore.ts'

const never = new AbortController().signal
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

it('lets so many in at once, the others in the order they came, also past one that failed or left', async () => {
  const gate = new Semaphore(2, 'it')
  const order: number[] = []
  const ends: (() => void)[] = []
  const stay = (id: number): Promise<void> =>
    gate.through(() => {
      order.push(id)
      return new Promise((resolve) => ends.push(resolve))
    }, never)
  const all = [stay(1), gate.through(() => Promise.reject(new Error('no')), never).catch(() => {}), stay(3)]
  const leaving = new AbortController()
  await turn()
  const left = gate.through(turn, leaving.signal).catch((why: unknown) => why)
  all.push(stay(5))
  await turn()
  expect(order).toEqual([1, 3])
  leaving.abort(new Error('left'))
  expect(await left).toMatchObject({ code: 'ABORTED', cause: { message: 'left' } })
  ends[0]?.()
  await turn()
  expect(order).toEqual([1, 3, 5])
  for (const end of ends) end()
  await Promise.all(all)
  expect(await gate.through(() => Promise.resolve('in'), never)).toBe('in')
})

it('lets another in for one who steps aside, who then comes in before those who only wait', async () => {
  const gate = new Semaphore(1, 'it')
  const order: string[] = []
  let back = (): void => {}
  let end = (): void => {}
  const first = gate.through(async () => {
    await gate.aside(() => new Promise<void>((resolve) => (back = resolve)))
    order.push('first again')
  }, never)
  const second = gate.through(() => {
    order.push('second')
    return new Promise<void>((resolve) => (end = resolve))
  }, never)
  const third = gate.through(() => Promise.resolve(order.push('third')), never)
  await turn()
  back()
  await turn()
  expect(order).toEqual(['second'])
  end()
  await Promise.all([first, second, third])
  expect(order).toEqual(['second', 'first again', 'third'])
})
