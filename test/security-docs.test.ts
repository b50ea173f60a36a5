/** SECURITY.md says who is trusted with what; that each claim has its test is looked at by `scripts/claims.mjs`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'SECURITY.md'), 'utf8')

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
