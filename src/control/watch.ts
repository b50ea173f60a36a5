/**
 * The daemon's own eye: cheap checks every few seconds, told as changes. A fault counts once it was seen twice in a
 * row, and is over once it was missed three times in a row, so that one lost packet raises no alarm and nothing flaps.
 */
import type { Clock } from '../base/clock.ts'
import type { Check } from '../checks/contract.ts'
import type { Diagnosis } from '../model/diagnosis.ts'
import type { Finding } from '../model/finding.ts'

export type WatchEvent =
  | { readonly type: 'appeared'; readonly finding: Finding }
  | { readonly type: 'gone'; readonly finding: Finding }

/** How often in a row something must be seen or missed. */
export const [seenToAppear, missedToGo] = [2, 3]

interface Suspect {
  finding: Finding
  seen: number
  missed: number
  told: boolean
}

/** Remembers what was told. Time does not enter: only looks count. */
export class Vigil {
  readonly #suspects = new Map<string, Suspect>()

  /** What changed with this look. */
  look(causes: readonly Finding[]): WatchEvent[] {
    const now = new Map(causes.map((finding) => [keyOf(finding), finding]))
    const events: WatchEvent[] = []
    for (const [key, finding] of now) events.push(...this.#see(key, finding))
    for (const [key, suspect] of this.#suspects) if (!now.has(key)) events.push(...this.#miss(key, suspect))
    return events
  }

  /** What stands now, as it was last seen. */
  get standing(): readonly Finding[] {
    return [...this.#suspects.values()].filter(({ told }) => told).map(({ finding }) => finding)
  }

  #see(key: string, finding: Finding): WatchEvent[] {
    const suspect = this.#suspects.get(key) ?? { finding, seen: 0, missed: 0, told: false }
    this.#suspects.set(key, suspect)
    suspect.finding = finding
    suspect.seen++
    suspect.missed = 0
    if (suspect.told || suspect.seen < seenToAppear) return []
    suspect.told = true
    return [{ type: 'appeared', finding }]
  }

  #miss(key: string, suspect: Suspect): WatchEvent[] {
    suspect.seen = 0
    suspect.missed++
    if (!suspect.told) {
      this.#suspects.delete(key)
      return []
    }
    if (suspect.missed < missedToGo) return []
    this.#suspects.delete(key)
    return [{ type: 'gone', finding: suspect.finding }]
  }
}

function keyOf({ code, rule }: Finding): string {
  return `${code} ${rule ?? ''}`
}

export interface WatchOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly diagnose: (options: { signal: AbortSignal; only: (check: Check) => boolean }) => Promise<Diagnosis>
  readonly onEvent: (event: WatchEvent) => void
  /** @default 4_000, so that two looks fit into 10 s */
  readonly everyMs?: number
}

/** Looks until the signal fires; a look that fails is left out. */
export async function watchCheaply({
  clock,
  signal,
  diagnose,
  onEvent,
  everyMs = 4000,
}: WatchOptions): Promise<void> {
  const vigil = new Vigil()
  while (!signal.aborted) {
    try {
      const { causes } = await diagnose({ signal, only: ({ cheap }) => cheap })
      for (const event of vigil.look(causes)) onEvent(event)
    } catch {
      // What cannot be looked at now is looked at next time.
    }
    await clock.sleep(everyMs, signal).catch(() => {})
  }
}
