/** What happened lately: connections that came and went, and what Naru said. Bounded; the newest last. */
import type { Connection } from '../../../src/model/connection.ts'
import type { NaruEvent } from '../../../src/model/face.ts'
import { Watched } from './watched.ts'

type LogEvent = Extract<NaruEvent, { type: 'log' }>
type Listener = (event: { type: 'opened' | 'closed'; connection: Connection }) => void

const logKept = 200

export class Happenings {
  readonly log = new Watched<readonly LogEvent[]>([])
  readonly #listeners = new Set<Listener>()

  take(event: NaruEvent): void {
    if (event.type === 'log') this.log.set([...this.log.value, event].slice(-logKept))
    if (event.type === 'opened' || event.type === 'closed')
      for (const listener of this.#listeners) listener(event)
  }

  onConnection(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
