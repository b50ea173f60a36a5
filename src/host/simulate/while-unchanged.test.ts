import { expect, it } from 'vitest'
import type { Runner } from '../contract.ts'
import { whileUnchanged } from './while-unchanged.ts'

const { signal } = new AbortController()
const runner = {} as Runner

function stand(tells?: (value: number) => boolean) {
  let [generation, reads] = ['1', 0] as [string | null, number]
  let during = (): void => {}
  const look = whileUnchanged(
    'the look',
    () => {
      during()
      return Promise.resolve(++reads)
    },
    tells,
  )
  return {
    look: () => look({ runner, signal, generation: () => Promise.resolve(generation) }),
    blind: () => look({ runner, signal }),
    is: (now: string | null): void => void (generation = now),
    changesWhileRead: (change: () => void): void => void (during = change),
  }
}

it('is read once while nobody changes anything, and anew after a change', async () => {
  const { look, is } = stand()
  expect([await look(), await look(), await look()]).toEqual([1, 1, 1])
  is('2')
  expect([await look(), await look()]).toEqual([2, 2])
})

it('is read anew where it was changed while it was read', async () => {
  const { look, is, changesWhileRead } = stand()
  changesWhileRead(() => is('2'))
  expect([await look(), await look(), await look()]).toEqual([1, 2, 2])
})

it('is read each time where nobody tells', async () => {
  const { look, blind, is } = stand()
  is(null)
  expect([await look(), await look()]).toEqual([1, 2])
  is('1')
  expect([await look(), await blind(), await look()]).toEqual([3, 4, 3])
})

it('is read each time where it holds what changes without a word', async () => {
  const { look } = stand((value) => value > 1)
  expect([await look(), await look(), await look()]).toEqual([1, 2, 2])
})
