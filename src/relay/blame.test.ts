import { expect, it } from 'vitest'
import { parseListen } from '../model/listen.ts'
import type { Rule } from '../model/rule.ts'
import { parseTarget } from '../model/target.ts'
import { isTargetsFault } from './blame.ts'

const rule = (listen: string, source: Rule['source'] = 'auto'): Pick<Rule, 'listen' | 'source'> => ({
  listen: parseListen(listen),
  source,
})

it('a target of one port is blamed for what its dial came to, and not for what this machine lacks', () => {
  const [one, to] = [rule('8000-8010'), parseTarget('10.0.0.2:80')]
  for (const reason of ['target-refused', 'connect-timeout', 'target-unreachable', 'name-not-found'] as const)
    expect(isTargetsFault(one, to, 8007, reason)).toBe(true)
  expect(isTargetsFault(one, to, 8007, 'engine-error')).toBe(false)
})

it('of a range the first port speaks for all, and a name that is gone for each', () => {
  const [range, to] = [rule('8000-8010'), parseTarget('host.example:9000-9010')]
  expect(isTargetsFault(range, to, 8000, 'target-refused')).toBe(true)
  for (const reason of ['target-refused', 'connect-timeout', 'target-unreachable'] as const)
    expect(isTargetsFault(range, to, 8007, reason)).toBe(false)
  expect(isTargetsFault(range, to, 8007, 'name-not-found')).toBe(true)
})

it('where the client’s address is kept its own way back is not the target’s fault', () => {
  const [kept, to] = [rule('0.0.0.0:8000', 'keep'), parseTarget('10.0.0.2:80')]
  expect(isTargetsFault(kept, to, 8000, 'connect-timeout')).toBe(false)
  expect(isTargetsFault(kept, to, 8000, 'target-refused')).toBe(true)
})
