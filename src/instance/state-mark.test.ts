import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { markOf, readMark } from './state-mark.ts'

let root: string
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), 'naru-mark-'))))
afterEach(() => rmSync(root, { recursive: true, force: true }))

it('a state folder has one mark from its first opening on, whoever asks, and no two have the same', async () => {
  expect(await readMark(root)).toBeNull()
  const asked = await Promise.all(Array.from({ length: 20 }, () => markOf(root)))
  expect(new Set(asked).size).toBe(1)
  expect(asked[0]).toMatch(/^[0-9a-f]{8}$/)
  expect(await readMark(root)).toBe(asked[0])
  expect(readdirSync(root)).toEqual(['mark'])
  const other = mkdtempSync(join(root, 'other-'))
  expect(await markOf(other)).not.toBe(asked[0])
})

it.runIf(process.platform !== 'win32')(
  'nobody else reads it, and one that others may write counts for nothing',
  async () => {
    await markOf(root)
    const path = join(root, 'mark')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    chmodSync(path, 0o666)
    await expect(markOf(root)).rejects.toMatchObject({ code: 'UNTRUSTED_PATH' })
  },
)

it.each(['', 'no mark', '0123456789abcdef'])('what is no mark is made anew: %j', async (text) => {
  writeFileSync(join(root, 'mark'), text, { mode: 0o600 })
  expect(await readMark(root)).toBeNull()
  const made = await markOf(root)
  expect(await markOf(root)).toBe(made)
})
