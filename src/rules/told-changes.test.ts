import { expect, it, vi } from 'vitest'
import type { RuleInput } from '../model/naru-api.ts'
import { parseRule } from '../model/rule-file.ts'
import type { LoadedRule } from './load.ts'
import { toldChanges } from './told-changes.ts'

const loaded = (rules: Record<string, RuleInput>): ReadonlyMap<string, LoadedRule> =>
  new Map(Object.entries(rules).map(([name, input]) => [name, { rule: parseRule(name, input), input }]))

const web = { listen: 8888, target: '10.0.0.2:80' }

it('one rule is told with what it does, under its own name', () => {
  const told = toldChanges(loaded({}), loaded({ web }))
  expect(told).toMatchObject({ rule: 'web', opened: ['web'] })
  expect(told?.text).toEqual({ en: 'added: 8888 → 10.0.0.2:80', ko: '추가: 8888 → 10.0.0.2:80' })
  expect(toldChanges(loaded({ web }), loaded({}))?.text.en).toBe('removed: 8888 → 10.0.0.2:80')
})

it('a switch is told from a change, and what is the same is not told', () => {
  const off = { ...web, enabled: false }
  expect(toldChanges(loaded({ web }), loaded({ web: off }))?.text.en).toMatch(/^switched off:/)
  expect(toldChanges(loaded({ web: off }), loaded({ web }))?.text.en).toMatch(/^switched on:/)
  expect(toldChanges(loaded({ web }), loaded({ web: { ...web, target: '10.0.0.3:80' } }))?.text.en).toBe(
    'changed: 8888 → 10.0.0.3:80',
  )
  expect(toldChanges(loaded({ web }), loaded({ web: { ...web } }))).toBeNull()
})

it('many are one line, of which the first are named', () => {
  const many = Object.fromEntries(
    Array.from({ length: 8 }, (_, at) => [`r${at}`, { ...web, listen: 9000 + at }]),
  )
  const told = toldChanges(loaded({ web }), loaded(many))
  expect(told?.rule).toBeNull()
  expect(told?.text.en).toBe('added: r0, r1, r2, r3, r4 and 3 more; removed: web')
})

it('of thousands that are switched, none is searched for among the others', () => {
  const all = (enabled: boolean) =>
    loaded(
      Object.fromEntries(
        Array.from({ length: 2000 }, (_, at) => [`r${at}`, { ...web, listen: 9000 + at, enabled }]),
      ),
    )
  const [on, off] = [all(true), all(false)]
  const searched = vi.spyOn(Array.prototype, 'includes')
  try {
    expect(toldChanges(on, off)?.text.en).toBe('switched off: r0, r1, r2, r3, r4 and 1995 more')
    expect(searched.mock.calls.length).toBeLessThan(2000)
  } finally {
    searched.mockRestore()
  }
})
