/** What docs/library.md and the example say compiles for whoever installs the package, and a wrong key does not. */
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'

const compilerOptions = {
  target: 'ES2022',
  lib: ['ES2023', 'ESNext.Disposable', 'ESNext.AsyncIterable'],
  module: 'NodeNext',
  moduleDetection: 'force',
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  noEmit: true,
  allowJs: true,
  checkJs: true,
}

/** A package that has this one installed. */
let consumer: string
beforeAll(async () => {
  await built()
  consumer = await mkdtemp(join(tmpdir(), 'naru-consumer-'))
  await mkdir(join(consumer, 'node_modules'))
  await symlink(process.cwd(), join(consumer, 'node_modules', 'naru'))
  await symlink(resolve('node_modules/@types'), join(consumer, 'node_modules', '@types'))
  await writeFile(join(consumer, 'package.json'), '{ "type": "module" }')
}, 120_000)
afterAll(() => rm(consumer, { recursive: true, force: true }))

/** What the compiler says of a folder of programs, a line each. */
async function problemsOf(folder: string, texts: Readonly<Record<string, string>>): Promise<string[]> {
  const at = join(consumer, folder)
  await mkdir(at)
  for (const [name, text] of Object.entries(texts)) await writeFile(join(at, name), text)
  await writeFile(join(at, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const tsc = [resolve('node_modules/typescript/bin/tsc'), '-p', at, '--pretty', 'false']
  const { stdout, status } = spawnSync(process.execPath, tsc, { cwd: at, encoding: 'utf8', timeout: 60_000 })
  const lines = stdout.split('\n').filter((line) => /^\S+\(\d+,\d+\): error/.test(line))
  expect(status === 0).toBe(lines.length === 0)
  return lines
}

it('every program in docs/library.md and the example compile', { timeout: 60_000 }, async () => {
  const page = await readFile('docs/library.md', 'utf8')
  const programs = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = '']) => text)
  expect(programs.length).toBeGreaterThan(3)
  const texts = Object.fromEntries(programs.map((text, at) => [`program-${at + 1}.ts`, text]))
  const example = await readFile('examples/library.mjs', 'utf8')
  expect(await problemsOf('right', { ...texts, 'library.mjs': example })).toEqual([])
})

it('a wrong key or a wrong word does not compile', { timeout: 60_000 }, async () => {
  const begin =
    "import { createForwarder, type RuleInput } from 'naru'\nconst naru = await createForwarder()\n"
  const wrong = {
    'inner.ts': "await naru.rules.edit('web', { limits: { connection: 3 } })",
    'key.ts': "await naru.rules.add('web', { listn: 8888, target: 80 })",
    'missing.ts': "await naru.rules.add('web', { target: 80 })",
    'word.ts': "const rule: RuleInput = { listen: 8888, target: 80, engine: 'kernl' }; console.log(rule)",
  }
  const texts = Object.fromEntries(Object.entries(wrong).map(([name, text]) => [name, begin + text]))
  const said = await problemsOf('wrong', texts)
  expect(said.map((line) => line.split('(')[0])).toEqual(Object.keys(wrong))
})
