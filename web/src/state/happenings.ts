/** What Naru said, which hops opened, whom it refused, and whether the file was valid: the newest last. Bounded. */
import { isHappening, type Happening, type NaruEvent } from '../../../src/model/naru-api.ts'
import { Flurry } from './watched.ts'

const kept = 1000

export class Happenings {
  readonly all = new Flurry<readonly Happening[]>([])

  take(event: NaruEvent): void {
    if (isHappening(event)) this.all.set([...this.all.value, event].slice(-kept))
  }

  /** As the daemon tells it from now on: a link leads to a rule by its name. */
  rename(from: string, to: string): void {
    const named = (one: Happening): Happening =>
      one.type !== 'file' && one.rule === from ? { ...one, rule: to } : one
    this.all.set(this.all.value.map(named))
  }

  /** What the daemon remembers, among it what has come since. */
  fill(remembered: readonly Happening[]): void {
    const known = new Set(remembered.map(keyOf))
    const since = this.all.value.filter((one) => !known.has(keyOf(one)))
    this.all.set([...remembered, ...since].sort((a, b) => a.at - b.at || a.id - b.id).slice(-kept))
  }
}

/** Ids begin anew with the daemon. */
export function keyOf({ at, id }: Happening): string {
  return `${at} ${id}`
}
