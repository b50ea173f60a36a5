/** Connections that a rule of the running daemon opens, told as they come. */
import type { Clock } from '../base/clock.ts'
import type { Naru } from '../model/naru-api.ts'

export interface FollowOpened {
  /** The running daemon. */
  readonly find: () => Promise<Naru | null>
  readonly rule: string
  readonly told: (client: string) => void
  readonly clock: Clock
}

/**
 * Calls back with the client of each connection from now on, also of those that come before the daemon has begun to
 * tell: it is asked for what happened since. Nothing is told where none runs.
 */
export function followOpened({ find, rule, told, clock }: FollowOpened): Disposable {
  const stop = new AbortController()
  const began = clock.now()
  const follow = async (): Promise<void> => {
    const naru = await find()
    if (!naru) return
    const since = (await naru.happened()).at(-1)?.id ?? 0
    for await (const event of naru.events({ signal: stop.signal, since }))
      if (event.type === 'opened' && event.at >= began && event.connection.rule === rule)
        told(event.connection.client)
  }
  follow().catch(() => {})
  return { [Symbol.dispose]: () => stop.abort() }
}
