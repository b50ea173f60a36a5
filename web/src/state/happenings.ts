/** What Naru said lately, the newest last. Bounded. */
import type { NaruEvent } from '../../../src/model/face.ts'
import { Watched } from './watched.ts'

export type LogEvent = Extract<NaruEvent, { type: 'log' }>

const kept = 200

export class Happenings {
  readonly log = new Watched<readonly LogEvent[]>([])

  take(event: NaruEvent): void {
    if (event.type === 'log') this.log.set([...this.log.value, event].slice(-kept))
  }
}
