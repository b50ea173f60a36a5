import { beforeAll, expect, it } from 'vitest'
import { built } from '../../test/built.ts'
import type { Imported } from '../model/import-export.ts'
import { exchange } from './exchange.ts'

beforeAll(built, 120_000)

/** Turns of the event loop while `promise` is under way. */
async function turnsDuring(promise: Promise<unknown>): Promise<number> {
  let turns = 0
  const turn = setInterval(() => turns++, 1)
  await promise.finally(() => clearInterval(turn))
  return turns
}

const rows = (count: number): string =>
  Array.from({ length: count }, (_, at) => `10.0.${at >> 8}.${at & 255} 80 10.1.0.1 80\n`).join('')

it('others are answered while a large file is read', async () => {
  const reading = exchange.read(rows(4000), { file: 'rinetd.conf', from: null })
  // Read here it would take one turn.
  expect(await turnsDuring(reading)).toBeGreaterThan(20)
  expect((await reading).rules).toHaveLength(4000)
}, 60_000)

it('what is wrong with a file is told as it is without a thread', async () => {
  await expect(exchange.read('x'.repeat(300_000), { file: 'a.conf', from: 'rinetd' })).rejects.toMatchObject({
    code: 'IMPORT_INVALID',
    message: expect.stringContaining('a.conf:1:1'),
  })
}, 60_000)

it('what was read is written as it is without a thread, one after the other', async () => {
  const read = (): Promise<Imported> => exchange.read(rows(2), { file: 'a.conf', from: 'rinetd' })
  const [one, other] = await Promise.all([read(), read()])
  expect(one).toEqual(other)
  const { rules, text } = await exchange.write('socat', one.rules)
  expect(rules).toEqual(one.rules.map(({ name }) => name))
  expect(text).toContain('10.1.0.1:80')
}, 60_000)
