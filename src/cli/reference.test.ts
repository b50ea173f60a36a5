import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { routes } from '../api/protocol/routes.ts'
import { codes } from '../base/codes/index.ts'
import { ruleKeys } from '../model/rule-keys/index.ts'
import { loadAll, verbNames } from './commands/index.ts'
import { variables } from './environment.ts'
import { apiReference, commandReference, errorReference, fileSchema, ruleReference } from './reference.ts'

const page = (name: string): Promise<string> =>
  readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

describe('the docs say what the source says (node scripts/generate.mjs)', () => {
  it('of commands, in both languages', async () => {
    expect(await page('cli.md')).toBe(commandReference(await loadAll(), 'en'))
    expect(await page('cli.ko.md')).toBe(commandReference(await loadAll(), 'ko'))
  })

  it('of errors: every code, with both sentences', async () => {
    const text = await page('errors.md')
    expect(text).toBe(errorReference())
    for (const code of Object.keys(codes)) expect(text).toContain(`## ${code}\n`)
  })

  it('of the keys of a rule', async () => {
    const text = await page('rules.md')
    expect(text).toBe(ruleReference())
    for (const key of [
      'listen',
      'targets[].weight',
      'publish.externalPort',
      'timeouts.drain',
      'limits.bandwidth',
    ])
      expect(text).toContain(`| \`${key}\` |`)
  })
})

describe('every verb', () => {
  it('is found by its own name and says what it is in both languages', async () => {
    const verbs = await loadAll()
    expect(verbs.map(({ name }) => name)).toEqual(verbNames)
    for (const { name, summary, options = [], arguments: args = [], examples = [] } of verbs) {
      for (const text of [summary, ...options, ...args, ...examples].map((one) =>
        'text' in one ? one.text : one,
      ))
        expect([name, text.en !== '', text.ko !== '']).toEqual([name, true, true])
    }
  })

  it('has options of different names', async () => {
    for (const { name, options = [] } of await loadAll())
      expect([name, new Set(options.map((one) => one.name)).size]).toEqual([name, options.length])
  })
})

it('the pages of routes and of keys name what their tables have', () => {
  const page = apiReference()
  for (const { method, path } of Object.values(routes))
    expect(page).toContain(`\`${method.toUpperCase()} ${path}\``)
  for (const key of Object.keys(ruleKeys)) expect(ruleReference()).toContain(`| \`${key}\` |`)
})

it('the file’s schema knows its top keys and the keys of a rule', () => {
  expect(fileSchema()).toMatchObject({
    properties: { rules: { additionalProperties: { required: ['listen'] } } },
  })
})

it('every variable of the environment that is read is in the reference', async () => {
  const source = new URL('..', import.meta.url)
  const files = (await readdir(source, { recursive: true })).filter((path) => /(?<!\.test)\.ts$/.test(path))
  const texts = await Promise.all(files.map((path) => readFile(new URL(path, source), 'utf8')))
  const read = texts.flatMap((text) =>
    [...text.matchAll(/\benv(?:\.|\[')(NARU_\w+|\w+_HOST)\b/g)].map(([, name]) => name),
  )
  const known = variables.map(({ name }) => name)
  expect([...new Set(read)].filter((name) => !known.includes(name as string))).toEqual([])
  expect(known.filter((name) => name.startsWith('NARU_') && !read.includes(name))).toEqual([])
})
