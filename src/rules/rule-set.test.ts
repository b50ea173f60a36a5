import { expect, it, vi } from 'vitest'
import { parseRule } from '../model/rule-file.ts'
import type { LoadedRule } from './load.ts'
import type { RuleRun } from './rule-run.ts'
import { RuleSet } from './rule-set.ts'

const input = { listen: 8888, target: '10.0.0.2:80' }
const loaded = (name: string): LoadedRule => ({ rule: parseRule(name, input), input })
const run = (name: string): RuleRun => ({ name }) as RuleRun

function setOf(names: readonly string[]): RuleSet {
  const rules = new RuleSet(() => {
    throw new Error('no run is made')
  })
  rules.loaded = { revision: '1', rules: new Map(names.map((name) => [name, loaded(name)])) }
  for (const name of names) rules.runs.set(name, run(name))
  return rules
}

it('a rule is found by its name, without a look at all the others', () => {
  const rules = setOf(['a', 'b', 'c'])
  const all = vi.spyOn(rules, 'ordered')
  expect(rules.find('b')).toBe(rules.runs.get('b'))
  expect(all).not.toHaveBeenCalled()
})

it('one that only drains is found until another has its name', () => {
  const rules = setOf(['a'])
  const [gone, before] = [run('gone'), run('a')]
  rules.leaving.add(gone).add(before)
  expect(rules.find('gone')).toBe(gone)
  expect(rules.find('a')).not.toBe(before)
  expect(() => rules.find('never')).toThrow('never')
})
