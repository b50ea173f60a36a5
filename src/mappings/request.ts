/** What one port wants of a router, and what everybody who opens one is handed. */
import type { Clock } from '../base/clock.ts'
import type { Semaphore } from '../base/semaphore.ts'
import type { NaruError } from '../base/errors.ts'
import type { Host } from '../host/contract.ts'
import type { Json, Recorder } from '../model/hop.ts'
import type { MappingRequest, Router } from '../routers/contract.ts'
import type { RouterFinder } from './finder.ts'

export interface PortRequest {
  readonly family: 4 | 6
  readonly request: MappingRequest
  /** `auto` or a member's id. */
  readonly by: string
}

export interface PublisherTools {
  readonly finder: RouterFinder
  readonly host: Host
  readonly clock: Clock
  /** What is asked of a router passes here: a hundred ports are not a hundred questions at once. */
  readonly gate: Semaphore
  /** A port was opened, perhaps on another router than before. */
  readonly onOpen: () => void
  readonly explainNoAddress: (nearest: Router, failure: NaruError, signal: AbortSignal) => Promise<NaruError>
}

/** The journal has one line a hop; which protocol can undo it is part of what is written. */
export function viaMember(record: Recorder, via: string): Recorder {
  const before = record.before?.flatMap((effect) => {
    const { via: by, effect: own } = effect as { via?: unknown; effect?: Json }
    return by === via && own !== undefined ? [own] : []
  })
  return {
    ...(before && { before }),
    async intend(effect) {
      const kept = await record.intend({ via, effect })
      return { amend: (next) => kept.amend({ via, effect: next }), undone: () => kept.undone() }
    },
  }
}
