import { LineCounter } from 'yaml'
import { describe, expect, it } from 'vitest'
import { cpuMs } from '../../test/cpu-time.ts'
import { yamlDocument, yamlProblem } from './yaml.ts'

function problemsOf(text: string, tags: string[] = []): string[] {
  const lineCounter = new LineCounter()
  const { errors } = yamlDocument(text, { lineCounter, prettyErrors: false, logLevel: 'error', tags })
  return errors.map((error) => {
    const { line, col } = lineCounter.linePos(error.pos[0])
    return `${line}:${col} ${yamlProblem(error).en}`
  })
}

it.each([
  ['rules:\n  web:\n    listen: 1\n   target: 2\n', '들여쓰기'],
  ['rules:\n\tweb: 1\n', '탭'],
  ['a: {b: 1\nc: 2\n', '중괄호'],
  ['a: [1, 2\nc: 2\n', '대괄호'],
  ['a: "b\n', '따옴표'],
  ['a: b: c\n', '두 번'],
  ['a: 1\nb\n', '콜론'],
  ['a: {b: 1 c: 2}\n', '쉼표'],
  ['a: @b\n', '따옴표로'],
  ['a: "\\q"\n', '작은따옴표'],
  ['a: }\n', '이 자리에'],
])('what people mistype is told in Korean too: %j', (text, word) => {
  const { errors } = yamlDocument(text, { prettyErrors: false, logLevel: 'error' })
  const told = errors.map((error) => yamlProblem(error).ko)
  expect(told.join('\n')).toContain(word)
  expect(told.join('\n').replaceAll('YAML', '')).not.toMatch(/[A-Za-z]{3}/)
})

describe('a text is refused with its place', () => {
  const tooDeep = 'it is nested too deeply here: the most is 64 levels of maps and lists'

  // V8 ends the process where it compiles a regular expression near the end of the stack.
  it.each([
    ['lists', (levels: number) => '['.repeat(levels) + ']'.repeat(levels), '1:65'],
    ['maps', (levels: number) => '{a: '.repeat(levels), '1:254'],
    ['items', (levels: number) => `${'- '.repeat(levels)}a`, '1:128'],
    ['keys', (levels: number) => '? '.repeat(levels), '1:128'],
  ])('where %s are too deep in each other, however deep', (_, nested, place) => {
    for (const levels of [100, 1000, 20_000, 200_000])
      expect(problemsOf(nested(levels))).toEqual([`${place} ${tooDeep}`])
    expect(problemsOf(nested(20))).not.toContain(expect.stringContaining('too deeply'))
  })

  it.each([
    ['a key stands twice, however deep', 'a:\n  b: { c: 1, c: 2 }\n', '2:14 this key stands here twice'],
    ['a key is a map', '{ a: 1 }: 2\n', '1:1 a key is a word, not a map, a list or an alias'],
    [
      'an alias stands in what it names',
      'a: &a\n  b: [*a]\n',
      '2:7 this alias stands in what it names, which would never end: write the value out',
    ],
    ['a tag', 'a: !!binary aGk=\n', '1:13 a tag such as !!binary means nothing here: take it out'],
    ['a tag of a map', 'a: !!set { b }\n', '1:10 a tag such as !!binary means nothing here: take it out'],
    ['a tag of its own', 'a: !run x\n', '1:9 a tag such as !!binary means nothing here: take it out'],
    ['a second document', 'a: 1\n---\nb: 2\n', '2:1 a second document begins here'],
    [
      'directives without an end',
      `${'%YAML 1.2\n'.repeat(5000)}---\na: 1\n`,
      '21:1 more than 20 lines with % before the document: take them out',
    ],
  ])('%s', (_, text, problem) => {
    expect(problemsOf(text)).toEqual([problem])
  })
})

it('tags that say what a value is anyway, and those that the reader knows, are none of it', () => {
  expect(problemsOf('a: !!str 1\nb: !!int 2\nc: !reset []\n', ['!reset'])).toEqual([])
})

it('a hundred thousand small documents cost as much as two', () => {
  expect(problemsOf('---\na: 1\n'.repeat(100_000))).toEqual(['3:1 a second document begins here'])
})

/** Some of something, and four times as many, which may take four times as long and a little more. */
describe('time grows with the text', () => {
  it.each([
    ['a long list', (n: number) => `[${'a,'.repeat(n)}]`],
    ['a long map', (n: number) => many(n, (at) => `k${at}: 1\n`)],
    ['a long map on one line', (n: number) => `{${many(n, (at) => `k${at}: 1,`)}}`],
    ['keys without a name', (n: number) => '? \n'.repeat(n)],
    ['anchors and their aliases', (n: number) => many(n, (at) => `k${at}: &a${at} x\nl${at}: *a${at}\n`)],
    ['aliases of nothing', (n: number) => many(n, (at) => `- *a${at}\n`)],
    ['commas', (n: number) => `[${','.repeat(n)}]`],
    ['comments', (n: number) => `${'# x\n'.repeat(n)}a: 1\n`],
    ['a quote that is not closed', (n: number) => `"${'x\n '.repeat(n)}`],
    ['escapes that are none', (n: number) => `"${'\\q'.repeat(n)}"`],
    ['folded lines', (n: number) => `a: >\n${'  x\n\n'.repeat(n)}`],
    ['tabs', (n: number) => `a:\n${'\tb: 1\n'.repeat(n)}`],
  ])('%s', (_, made) => {
    const [some, more] = [made(1500), made(6000)]
    problemsOf(some)
    const ratio = Math.min(
      ...[1, 2, 3].map(() => cpuMs(() => problemsOf(more)) / cpuMs(() => problemsOf(some))),
    )
    expect(ratio).toBeLessThan(10)
  })
})

function many(count: number, line: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => line(at)).join('')
}
