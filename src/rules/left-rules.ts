/**
 * Rules of which only connections are here, since a successor has the rest. They are over when the rules are: at the time
 * that the rule says, or by what the one who has the place now tells, who may have changed it, too.
 */
import type { Clock } from '../base/clock.ts'
import type { Instance } from '../instance/instance.ts'
import type { RuleNews } from '../instance/rule-news.ts'
import type { RuleRun } from './rule-run.ts'

export interface LeftRulesOptions {
  readonly runs: ReadonlyMap<string, RuleRun>
  readonly clock: Clock
  readonly instance: Pick<Instance, 'news'>
  /** As of `systemMs`: what was told before is of other connections. */
  readonly since: number
}

interface LeftRule {
  readonly run: RuleRun
  readonly until: number | null
}

export class LeftRules {
  readonly #options: LeftRulesOptions
  /** By the name that each has now. */
  readonly #left: Map<string, LeftRule>
  #since: number

  constructor(options: LeftRulesOptions) {
    this.#options = options
    this.#since = options.since
    this.#left = new Map([...options.runs].map(([name, run]) => [name, { run, until: run.rule.until }]))
  }

  /** Ends what is over. Does not throw. */
  async look(): Promise<void> {
    const { instance, clock } = this.#options
    const { news, since } = await instance.news(this.#since).catch(() => ({ news: [], since: this.#since }))
    this.#since = since
    for (const one of news) this.#take(one)
    const now = clock.now()
    for (const [name, { until }] of this.#left) if (until !== null && until <= now) this.#end(name)
  }

  #take(news: RuleNews): void {
    const { rule } = news
    const left = this.#left.get(rule)
    if (!left) return
    if ('over' in news) return this.#end(rule, news.over === 'cut')
    if ('until' in news) return void this.#left.set(rule, { ...left, until: news.until })
    this.#left.delete(rule)
    this.#left.set(news.to, left)
  }

  #end(name: string, now = false): void {
    const left = this.#left.get(name)
    this.#left.delete(name)
    void left?.run.endLeft({ now }).catch(() => {})
  }
}
