/**
 * Every regular expression of the program meets text of others sooner or later, so none goes back over what it has
 * read: each is tried with texts made from its own shape, and takes time by their length.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { parseAst } from 'rolldown/parseAst'
import { expect, it } from 'vitest'
import { cpuMs } from '../cpu-time.ts'
import { attacksOn } from './attacks.ts'

const root = join(import.meta.dirname, '../..')
/** The last is what counts; the others end what would never end. */
const lengths = [24, 32, 512, 8192, 131_072]
/** Of CPU time: going once through the longest takes 0.1 to 4 ms, going back for each twentieth character 400 and more. */
const mostMs = 50
const hangsMs = 500
const mostTries = 3

interface Found {
  readonly at: string
  readonly expression: RegExp
}

function expressionsIn(path: string): Found[] {
  const text = readFileSync(join(root, path), 'utf8')
  const found: Found[] = []
  const walk = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return
    if (Array.isArray(node)) return node.forEach(walk)
    const { regex, start } = node as { regex?: { pattern: string; flags: string }; start: number }
    if (regex) {
      const line = text.slice(0, start).split('\n').length
      found.push({ at: `${path}:${line}`, expression: new RegExp(regex.pattern, regex.flags) })
    }
    Object.values(node).forEach(walk)
  }
  walk(parseAst(text, { lang: path.endsWith('x') ? 'tsx' : 'ts' }, path))
  return found
}

const expressions = ['src', 'web/src'].flatMap((room) =>
  readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.tsx?$/.test(path) && !/\.test\.tsx?$/.test(path))
    .flatMap((path) => expressionsIn(join(room, path))),
)

/** Where V8 is told to give up: it looks at the clock whenever an expression goes back. */
const room = createContext({ expression: / /, text: '' })

/** Through the whole text, as `replaceAll` and `matchAll` go. */
function msOf(expression: RegExp, text: string): number {
  Object.assign(room, { expression, text })
  let ended = false
  const ms = cpuMs(() => {
    try {
      runInContext('text.replace(expression, "")', room, { timeout: hangsMs })
      ended = true
    } catch {}
  })
  return ended ? ms : Infinity
}

/** @returns a text that takes too long, shortened, or null. */
function weakness(expression: RegExp): string | null {
  for (const { ofLength } of attacksOn(expression))
    for (const length of lengths) {
      const text = ofLength(length)
      const isSlow = (): boolean => msOf(expression, text) > mostMs
      if (Array.from({ length: mostTries }).every(isSlow))
        return `${text.length} characters: ${JSON.stringify(text.slice(0, 80))} … ${JSON.stringify(text.slice(-12))}`
    }
  return null
}

it('knows what goes back', () => {
  for (const bad of [
    /^(a+)+$/,
    /\s+$/,
    /^(\w+)[^:]*:/,
    /anchor.*not/,
    /<range\b([^>]*)\/>/,
    /^\s*x/m,
    /#.*$/u,
  ])
    expect([bad, weakness(bad)]).toEqual([bad, expect.any(String)])
  for (const good of [/^\s+x/, /\S+/g, /^[^:]*:\s*\d+$/]) expect([good, weakness(good)]).toEqual([good, null])
})

it('none of the program goes back over what it has read', () => {
  expect(expressions.length).toBeGreaterThan(400)
  const weak = expressions.flatMap(({ at, expression }) => {
    const found = weakness(expression)
    return found === null ? [] : [`${at} ${String(expression)}\n    ${found}`]
  })
  expect(weak).toEqual([])
}, 120_000)
