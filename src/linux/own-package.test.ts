import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { requireOwn } from './own-package.ts'

let folder: string
const from = (): string => pathToFileURL(join(folder, 'naru', 'dist', 'x.js')).href
const put = (...place: string[]): void => {
  mkdirSync(join(folder, ...place), { recursive: true })
  writeFileSync(join(folder, ...place, 'index.js'), `module.exports = ${JSON.stringify(place[0])}`)
}
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'naru-own-'))))
afterAll(() => rmSync(folder, { recursive: true }))

it('is found in our own node_modules', () => {
  put('naru', 'node_modules', 'lib')
  expect(requireOwn('lib', from())).toBe('naru')
})

it('is not taken from a folder that the environment names', () => {
  put('elsewhere', 'planted')
  const { NODE_PATH } = process.env
  process.env.NODE_PATH = join(folder, 'elsewhere')
  try {
    expect(() => requireOwn('planted', from())).toThrow('planted is not installed')
  } finally {
    if (NODE_PATH === undefined) delete process.env.NODE_PATH
    else process.env.NODE_PATH = NODE_PATH
  }
})
