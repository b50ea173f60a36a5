/** What `npm pack` puts into the package. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { built } from './built.ts'

const root = join(import.meta.dirname, '..')
beforeAll(() => built(), 120_000)

it('has the texts that go with it: how it is guarded, its licence, and those of what the page bundles', () => {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const told = execFileSync(npm, ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
  })
  const [{ files }] = JSON.parse(told) as [{ files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  expect(paths).toEqual(expect.arrayContaining(['SECURITY.md', 'LICENSE', 'web/dist/LICENSES.txt']))
  const texts = readFileSync(join(root, 'web/dist/LICENSES.txt'), 'utf8')
  for (const name of ['react', 'react-dom', 'uplot'])
    expect(texts).toMatch(new RegExp(`^${name} \\d[^]*?Permission is hereby granted`, 'm'))
}, 60_000)
