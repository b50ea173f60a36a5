/** A rule's name, and the one under which what is in force was made: that stays so when the rule is renamed. */
import type { EngineEvent } from '../engines/contract.ts'
import type { Connection } from '../model/connection.ts'
import type { Rule } from '../model/rule.ts'

export class RuleName {
  #now: string
  /** Null where it is the same. */
  #madeAs: string | null = null

  constructor(name: string) {
    this.#now = name
  }

  get now(): string {
    return this.#now
  }

  rename(name: string): void {
    this.#madeAs ??= this.#now
    this.#now = name
  }

  /** Nothing is in force: what is made next has the name of now. */
  forgetMade(): void {
    this.#madeAs = null
  }

  asMade(rule: Rule): Rule {
    return this.#madeAs === null ? rule : { ...rule, name: this.#madeAs }
  }

  readonly ofEvent = (event: EngineEvent): EngineEvent => {
    if (this.#madeAs === null) return event
    const rule = this.#now
    if ('rule' in event) return { ...event, rule }
    const { connection } = event
    return { ...event, connection: () => ({ ...connection(), rule }) }
  }

  ofConnections(all: Connection[]): Connection[] {
    return this.#madeAs === null ? all : all.map((one) => ({ ...one, rule: this.#now }))
  }
}
