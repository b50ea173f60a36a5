import { expect, it } from 'vitest'
import { toNaruError } from './errors.ts'

it.each(['EMFILE', 'ENFILE'])('want of descriptors (%s) is foreseen, and says what to do', (code) => {
  const error = toNaruError(Object.assign(new Error(`${code}: too many open files`), { code }))
  expect(error).toMatchObject({ code: 'OUT_OF_DESCRIPTORS' })
  expect(error.text.en).toContain('too many open files')
})
