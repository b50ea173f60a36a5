/** What happens, numbered, kept for a while, and handed to whoever listens. A slow listener loses events and is told. */
import type { Clock } from '../base/clock.ts'
import { isHappening, type Happening, type NaruEvent } from '../model/naru-api.ts'
import { shownState } from '../model/shown-state.ts'

type RuleEvent = Extract<NaruEvent, { type: 'rule' }>
type Body<E> = E extends NaruEvent ? Omit<E, 'id' | 'at'> : never
export type EventBody = Body<NaruEvent>

const kept = 1000
const saidKept = 500
/** A flood of strangers must not wash away what was said. */
const refusedKept = 200
/** Nor must the hops of many rules, told anew with each renewal. */
const hopsKept = 300
const queueLimit = 2000

interface Listener {
  readonly queue: NaruEvent[]
  wake: () => void
  lost: boolean
}

export class Events {
  readonly #clock: Clock
  readonly #ring: NaruEvent[] = []
  /** A rule is told anew with every look at it: its last word stands for those before, and washes nothing away. */
  readonly #rules = new Map<string, RuleEvent>()
  readonly #said: Happening[] = []
  readonly #refused: Happening[] = []
  readonly #hops: Happening[] = []
  readonly #listeners = new Set<Listener>()
  #last = 0
  /** Of the newest that is not kept any more. */
  #forgotten = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get listened(): boolean {
    return this.#listeners.size > 0
  }

  /** What connections as they come and go do not wash away, oldest first. */
  get happened(): readonly Happening[] {
    return [...this.#said, ...this.#refused, ...this.#hops].sort((a, b) => a.id - b.id)
  }

  emit(body: EventBody): void {
    const event = { id: ++this.#last, at: this.#clock.now(), ...body } as NaruEvent
    if (this.#isNews(event)) this.#ring.push(event)
    if (this.#ring.length > kept) this.#forgotten = this.#ring.shift()?.id ?? 0
    this.#remember(event)
    for (const listener of this.#listeners) deliver(listener, event)
  }

  /** Samples of traffic are of the moment; nobody wants the old ones. */
  #isNews(event: NaruEvent): boolean {
    if (event.type !== 'rule') return event.type !== 'traffic'
    const before = this.#rules.get(event.rule.name)
    return !before || shownState(before.rule) !== shownState(event.rule)
  }

  /** What happened to a rule is found under the name that it has now. */
  rename(from: string, to: string): void {
    for (const ring of [this.#ring, this.#said, this.#refused, this.#hops]) {
      for (const [at, event] of ring.entries()) ring[at] = renamed(event, from, to)
    }
  }

  #remember(event: NaruEvent): void {
    if (event.type === 'rule') this.#rules.set(event.rule.name, event)
    if (event.type === 'rule-removed') this.#rules.delete(event.name)
    if (!isHappening(event)) return
    if (event.type === 'refused') keepLast(this.#refused, event, refusedKept)
    else if (event.type === 'hop') keepLast(this.#hops, event, hopsKept)
    else keepLast(this.#said, event, saidKept)
  }

  /** Events after `since`, then those that come, until the signal. */
  async *listen({ signal, since }: { signal: AbortSignal; since?: number }): AsyncGenerator<NaruEvent> {
    const listener: Listener = { queue: this.#after(since), wake: () => {}, lost: false }
    const wake = (): void => listener.wake()
    this.#listeners.add(listener)
    signal.addEventListener('abort', wake)
    try {
      while (!signal.aborted) {
        if (listener.lost) {
          listener.lost = false
          listener.queue.length = 0
          yield this.#gap()
        }
        for (let event = listener.queue.shift(); event; event = listener.queue.shift()) yield event
        if (!signal.aborted && !listener.lost) await new Promise<void>((resolve) => (listener.wake = resolve))
      }
    } finally {
      this.#listeners.delete(listener)
      signal.removeEventListener('abort', wake)
    }
  }

  #after(since: number | undefined): NaruEvent[] {
    if (since === undefined) return []
    const missed = since < this.#forgotten || since > this.#last
    const newer = [...new Set([...this.#ring, ...this.#rules.values()])]
      .filter(({ id }) => id > since)
      .sort((a, b) => a.id - b.id)
    return missed ? [this.#gap(), ...newer] : newer
  }

  #gap(): NaruEvent {
    return { id: this.#last, at: this.#clock.now(), type: 'gap' }
  }
}

/** What was told of the rule itself stays: that it was called so, and no longer is. */
function renamed<E extends NaruEvent>(event: E, from: string, to: string): E {
  if ('connection' in event && event.connection.rule === from)
    return { ...event, connection: { ...event.connection, rule: to } }
  return 'rule' in event && event.rule === from ? { ...event, rule: to } : event
}

function keepLast<T>(ring: T[], one: T, most: number): void {
  ring.push(one)
  if (ring.length > most) ring.shift()
}

function deliver(listener: Listener, event: NaruEvent): void {
  if (listener.queue.length >= queueLimit) listener.lost = true
  else listener.queue.push(event)
  listener.wake()
}
