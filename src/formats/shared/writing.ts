/** What a writer says beside its text: losses of rules that only it can know, such as a range it cannot shift. */
import type { Text } from '../../base/text.ts'
import type { Loss } from '../../model/import-export.ts'
import type { Rule } from '../../model/rule.ts'

export class Writing {
  readonly #losses: Loss[] = []
  readonly #leftOut = new Set<string>()

  get losses(): readonly Loss[] {
    return this.#losses
  }

  isLeftOut(name: string): boolean {
    return this.#leftOut.has(name)
  }

  lose({ name }: Pick<Rule, 'name'>, what: string, why: Text): void {
    this.#losses.push({ place: null, rule: name, leftOut: false, what, why })
  }

  leaveOut({ name }: Pick<Rule, 'name'>, what: string, why: Text): void {
    this.#leftOut.add(name)
    this.#losses.push({ place: null, rule: name, leftOut: true, what, why })
  }

  /** It forwards nothing here either. */
  passOver({ name }: Pick<Rule, 'name'>, what: string, why: Text): void {
    this.#leftOut.add(name)
    this.#losses.push({ place: null, rule: name, leftOut: true, off: true, what, why })
  }
}
