import { expect, it } from 'vitest'
import { namedBeside } from './import-names.ts'
import { rulePattern } from './rule-file.ts'

const place = { line: 1, column: 1 }
const at = (port: number): { listen: number; target: string } => ({ listen: port, target: '10.0.0.1:9' })

it('a name that is taken gets the next number, and what is there by any name is known again', () => {
  const found = [
    { name: 'web', rule: at(1), place },
    { name: 'web', rule: at(2), place },
    { name: 'web', rule: at(3), place },
    { name: 'ssh', rule: at(22), place },
  ]
  const there = [
    { name: 'web', rule: at(9) },
    { name: 'ssh', rule: { ...at(22), title: 'mine', enabled: false } },
  ]
  expect(namedBeside(found, there).map(({ name, isThere }) => [name, isThere])).toEqual([
    ['web-2', false],
    ['web-3', false],
    ['web-4', false],
    ['ssh', true],
  ])
})

it('names of thousands that are called alike are names, each another', () => {
  const wanted = 'a-long-name-of-exactly-forty-characters.'
  const found = Array.from({ length: 5000 }, (_, port) => ({ name: wanted, rule: at(port + 1), place }))
  const names = namedBeside(found, []).map(({ name }) => name)
  expect(new Set(names).size).toBe(5000)
  expect(names.filter((name) => !rulePattern.test(name))).toEqual([])
})
