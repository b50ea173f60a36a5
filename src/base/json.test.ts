import { expect, it } from 'vitest'
import { jsonProblem } from './json.ts'

it.each([
  '{}',
  '{"listen": 8888, "targets": [{"to": "10.0.0.2:80"}, {"to": "10.0.0.3:80"}], "a:{\\"b": -1.5e3}',
  `${'['.repeat(64)}${']'.repeat(64)}`,
  '"\\u005f_proto__"',
  'null',
])('takes what means one thing to everybody: %s', (text) => {
  expect(jsonProblem(text)).toBeNull()
})

it.each([
  ['{"a": 1', /^it is no JSON: /],
  ['{"listen": 1,\n "listen": 2}', /^2:2: this key stands here twice$/],
  ['[{"a": {"b": 1, "\\u0062": 2}}]', /^1:17: this key stands here twice$/],
  ['{"a": {"__proto__": {}}}', /^1:8: __proto__ is no key$/],
  ['{"a": 1e999}', /^1:7: a number is at most 9007199254740991$/],
  ['{"a": -9007199254740993}', /^1:7: a number is at most 9007199254740991$/],
  [`${'['.repeat(65)}${']'.repeat(65)}`, /^1:65: it is nested too deeply here: the most is 64 levels/],
  [`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, /^1:321: it is nested too deeply here/],
])('tells what does not, with its place: %#', (text, problem) => {
  expect(jsonProblem(text)?.en).toMatch(problem)
})
