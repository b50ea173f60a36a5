import { expect, it } from 'vitest'
import type { RuleNews } from '../instance/rule-news.ts'
import { LeftRules, type LeftRulesOptions } from './left-rules.ts'
import type { RuleRun } from './rule-run.ts'

/** Rules by name and end, the news that come, and what was ended: `NAME` drained, `NAME!` cut. */
function left(untils: Readonly<Record<string, number | null>>) {
  const ended: string[] = []
  const news: RuleNews[] = []
  let now = 0
  const runs = Object.entries(untils).map(([name, until]) => {
    const endLeft = async (how: { now: boolean }): Promise<void> => {
      ended.push(how.now ? `${name}!` : name)
    }
    return [name, { rule: { until }, endLeft } as unknown as RuleRun] as const
  })
  const rules = new LeftRules({
    runs: new Map(runs),
    clock: { now: () => now } as LeftRulesOptions['clock'],
    instance: { news: (since) => Promise.resolve({ news: news.splice(0), since: since + 1 }) },
    since: 0,
  })
  return {
    ended,
    at: async (time: number, ...told: readonly RuleNews[]): Promise<void> => {
      now = time
      news.push(...told)
      await rules.look()
    },
  }
}

it('are over at their time, once, with nobody there to say so', async () => {
  const { ended, at } = left({ short: 10, long: 20, ever: null })
  await at(9)
  expect(ended).toEqual([])
  await at(10)
  await at(11)
  expect(ended).toEqual(['short'])
  await at(20)
  expect(ended).toEqual(['short', 'long'])
})

it('are over as the one who has the place tells, and when it says', async () => {
  const { ended, at } = left({ drained: null, cut: null, later: 10, sooner: 100 })
  await at(1, { rule: 'drained', over: 'drain' }, { rule: 'cut', over: 'cut' })
  expect(ended).toEqual(['drained', 'cut!'])
  await at(10, { rule: 'later', until: null }, { rule: 'sooner', until: 10 })
  expect(ended.slice(2)).toEqual(['sooner'])
})

it('go by the name that they have by then, and another rule by the old one is none of them', async () => {
  const { ended, at } = left({ before: null })
  await at(1, { rule: 'before', to: 'after' })
  await at(2, { rule: 'before', over: 'cut' }, { rule: 'nobody', over: 'cut' })
  expect(ended).toEqual([])
  await at(3, { rule: 'after', over: 'cut' })
  expect(ended).toEqual(['before!'])
})
