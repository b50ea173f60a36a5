import { expect, it } from 'vitest'
import type { CodeEntry } from './codes/entry.ts'
import { codes } from './codes/index.ts'
import { koreanOf } from './korean.ts'
import { toNaruError } from './errors.ts'

it.each(['EMFILE', 'ENFILE'])('want of descriptors (%s) is foreseen, and says what to do', (code) => {
  const error = toNaruError(Object.assign(new Error(`${code}: too many open files`), { code }))
  expect(error).toMatchObject({ code: 'OUT_OF_DESCRIPTORS' })
  expect(error.text.en).toContain('too many open files')
})

it('what is called off is no fault; what a limit ended is one', () => {
  const fired = new AbortController()
  fired.abort()
  expect(toNaruError(fired.signal.reason)).toMatchObject({ code: 'ABORTED' })
  const late = new DOMException('the time is over', 'TimeoutError')
  for (const over of [late, new DOMException('called off', { name: 'AbortError', cause: late })])
    expect(toNaruError(over)).toMatchObject({ code: 'INTERNAL' })
})

it('every code tells a next step, in both languages; but where its sentence does, or nothing is to be done', () => {
  const all = Object.entries<CodeEntry>(codes)
  const without = all.flatMap(([code, { fix }]) => (fix === null ? [code] : []))
  expect(without.toSorted()).toEqual([
    'ABORTED',
    'OUTSIDE_WHICH',
    'RULE_INVALID',
    'RULE_UNKNOWN',
    'VALUE_INVALID',
  ])
  for (const [code, { fix }] of all)
    // Where it is one place alone, what fills it has both languages.
    if (fix && !/^\{\w+\}$/.test(fix))
      expect([code, koreanOf(fix)]).toEqual([code, expect.stringMatching(/[가-힣]/)])
})
