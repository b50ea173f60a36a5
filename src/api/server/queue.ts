/**
 * Events on their way to one listener. It holds so many; a listener that falls further behind loses them and is told
 * so by one `gap`, and the source is never held up.
 */
import { systemClock } from '../../base/clock.ts'
import type { NaruEvent } from '../../model/naru-api.ts'

export class EventQueue {
  #waiting: NaruEvent[] = []
  #wake: (() => void) | null = null
  #ended = false
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  push(event: NaruEvent): void {
    // Samples of traffic are of the moment: a slow listener gets the newest alone.
    if (event.type === 'traffic') this.#waiting = this.#waiting.filter(({ type }) => type !== 'traffic')
    if (this.#waiting.length >= this.#most) this.#waiting = [{ id: event.id, at: event.at, type: 'gap' }]
    else this.#waiting.push(event)
    this.#stir()
  }

  end(): void {
    this.#ended = true
    this.#stir()
  }

  get length(): number {
    return this.#waiting.length
  }

  /**
   * The next events as soon as there are any, one at least and then as many as `fits` says yes to; [] at the end, and
   * after `limitMs` without one.
   */
  async take(
    limitMs: number,
    fits: (event: NaruEvent) => boolean,
  ): Promise<{ events: readonly NaruEvent[]; ended: boolean }> {
    if (this.#waiting.length === 0 && !this.#ended) await this.#stirred(limitMs)
    const tooMany = this.#waiting.findIndex((event, at) => !fits(event) && at > 0)
    const events = this.#waiting.splice(0, tooMany === -1 ? Infinity : tooMany)
    return { events, ended: this.#ended && events.length === 0 }
  }

  #stir(): void {
    this.#wake?.()
    this.#wake = null
  }

  #stirred(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = systemClock.after(limitMs, resolve)
      this.#wake = () => {
        timer[Symbol.dispose]()
        resolve()
      }
    })
  }
}
