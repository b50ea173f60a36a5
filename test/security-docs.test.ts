/** SECURITY.md says what is guarded and which test holds it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'SECURITY.md'), 'utf8')
const named = [...page.matchAll(/`([\w./-]+\.test\.tsx?)`/g)].map(([, path]) => path as string)

it('names tests that are there', () => {
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
})

it('names a test beside each claim', () => {
  const [, guarded = ''] = /^## What is guarded\n([^]*?)^## /m.exec(page) ?? []
  const claims = guarded.split(/^- /m).slice(1)
  expect(claims.length).toBeGreaterThan(10)
  expect(claims.filter((claim) => !/`[\w./-]+\.test\.tsx?`/.test(claim))).toEqual([])
})

it('says of everybody what he is trusted with', () => {
  const [, table = ''] = /^## Who is trusted with what\n([^]*?)^## /m.exec(page) ?? []
  const who = [...table.matchAll(/^\| \*\*(.+?)\*\*/gm)].map(([, name]) => name)
  expect(who).toEqual([
    'root',
    'this user',
    'other users',
    'LAN',
    'router',
    'guest',
    'name server',
    'client',
    'page',
    'look-only token',
    'imported file',
  ])
})
