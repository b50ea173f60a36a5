import { expect, it } from 'vitest'
import { ruleStatus } from '../../test/fakes/naru.ts'
import { ruleFilter } from './rule-filter.ts'
import { shownState } from './shown-state.ts'

const untried = ruleStatus('a', { service: 'untried' })
const answers = ruleStatus('b')
const silent = ruleStatus('c', { state: 'degraded', service: 'silent' })
const closed = ruleStatus('d', { state: 'disabled', service: 'untried' })

it('that it listens is told apart from that somebody answers', () => {
  expect([untried, answers, silent, closed].map(shownState)).toEqual([
    'untried',
    'open',
    'silent',
    'disabled',
  ])
  // Another hop is broken, whatever the service does.
  expect(shownState(ruleStatus('e', { state: 'degraded' }))).toBe('degraded')
})

it('each can be asked for, and the wider word finds both', () => {
  const found = (word: string): string[] =>
    [untried, answers, silent, closed].filter(ruleFilter([word])).map(({ name }) => name)
  expect(found('state=untried')).toEqual(['a'])
  expect(found('state=silent')).toEqual(['c'])
  expect(found('state=open')).toEqual(['a', 'b'])
  expect(found('state=degraded')).toEqual(['c'])
})
