import { expect, it } from 'vitest'
import type { Runner } from '../host/contract.ts'
import { createNft } from './nft.ts'

const signal = AbortSignal.timeout(60_000)
const whole = '{"nftables": [{"table": {"family": "inet", "name": "naru"}}]}'
const cut = '{"nftables": [{"table": {"family": "inet", "name": "naru_guard_1_2_3", "flags": '

/** An nft that prints these one after the other, the last again and again. */
function printing(...outputs: readonly string[]): Runner {
  let at = 0
  const run = (): Promise<object> =>
    Promise.resolve({ exit: 0, stdout: outputs[Math.min(at++, outputs.length - 1)], stderr: '' })
  return { run } as unknown as Runner
}

it('asks again where nft cut off what it printed', async () => {
  const nft = createNft(printing(cut, '', whole))
  expect(await nft.list(['list', 'tables'], { signal })).toEqual([
    { table: { family: 'inet', name: 'naru' } },
  ])
})

it('says so where it always does', async () => {
  const listing = createNft(printing(cut)).list(['list', 'tables'], { signal })
  await expect(listing).rejects.toThrow('nft -j list tables printed no whole JSON')
})
