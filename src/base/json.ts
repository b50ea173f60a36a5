/** JSON that somebody else wrote, looked through before anybody trusts its shape. */
import { say, type Text } from './text.ts'

/** Levels of objects and lists in each other; a rule has four. */
const mostLevels = 64

/**
 * What keeps `text` from meaning one thing to everybody, with its place; null where nothing does. Readers differ on a
 * key that stands twice and on numbers that no double holds (RFC 8259 §4, §6), `__proto__` is no key in JavaScript, and
 * who walks through a value calls itself for each level.
 */
export function jsonProblem(text: string): Text | null {
  try {
    JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    return say`it is no JSON: ${message}`
  }
  const found = firstProblem(text)
  if (found === null) return null
  const { line, column } = placeOf(text, found.offset)
  return say`${line}:${column}: ${found.text}`
}

interface Found {
  readonly offset: number
  readonly text: Text
}

/** Of JSON as it should be: each of these is one of its parts, and none begins within another. */
const part = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}[\]:,]/g

function firstProblem(text: string): Found | null {
  const open: Set<string>[] = []
  let last = { word: '', offset: 0 }
  for (const { 0: word, index: offset } of text.matchAll(part)) {
    const problem = problemOf(word, last.word, open)
    if (problem) return { offset: word === ':' ? last.offset : offset, text: problem }
    last = { word, offset }
  }
  return null
}

/** @param open the keys of each level, the innermost last */
function problemOf(word: string, before: string, open: Set<string>[]): Text | null {
  switch (word) {
    case '{':
    case '[':
      return open.push(new Set()) > mostLevels ? tooDeep : null
    case '}':
    case ']':
      open.pop()
      return null
    case ':':
      return keyProblem(JSON.parse(before) as string, open.at(-1) as Set<string>)
    default:
      return word.startsWith('"') || word === ',' ? null : numberProblem(Number(word))
  }
}

function keyProblem(key: string, keys: Set<string>): Text | null {
  if (key === '__proto__') return say('__proto__ is no key')
  if (keys.has(key)) return say('this key stands here twice')
  keys.add(key)
  return null
}

function numberProblem(number: number): Text | null {
  if (Math.abs(number) <= Number.MAX_SAFE_INTEGER) return null
  return say`a number is at most ${Number.MAX_SAFE_INTEGER}`
}

const tooDeep = say`it is nested too deeply here: the most is ${mostLevels} levels of objects and lists`

function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}
