/**
 * Keeps an eye on one router: asks it every few seconds, every second while it is silent, and at once when it
 * announces something. An announcement is only ever a hint, answered once a second at most: anyone on the network
 * can send one.
 */
import type { Clock } from '../base/clock.ts'
import { throttled } from '../base/throttle.ts'
import { say, type Text } from '../base/text.ts'
import { hasAddress } from './ask-udp.ts'
import { listenMulticast } from './multicast.ts'

export interface PollOptions {
  /**
   * Asks the router. False where it did not answer. What it throws is its own affair.
   * @param announced it has announced something since it was asked last, or somebody in its name.
   */
  readonly ask: (announced: boolean) => Promise<boolean>
  readonly everyMs: number
  /** Our address towards it; null where the system chose one, then announcements cannot be listened to. */
  readonly source: string | null
  /** Told at every look while this machine does not have `source` any more. */
  readonly onAddressGone: (why: Text) => void
  /** Where the router announces, and what is an announcement of it. */
  readonly announcements: {
    readonly group: string
    readonly port: number
    readonly from: string
    readonly isOne: (bytes: Uint8Array) => boolean
  }
  readonly clock: Clock
  /** Ends it. */
  readonly signal: AbortSignal
}

const shortestMs = 1000

/** Returns at once. */
export function pollAndListen({
  ask,
  everyMs,
  source,
  onAddressGone,
  announcements,
  clock,
  signal,
}: PollOptions): void {
  let announced = false
  const look = async (): Promise<void> => {
    const heard = announced
    announced = false
    if (source !== null && !(await hasAddress(source))) onAddressGone(addressGone(source))
    const answered = await ask(heard).catch(() => false)
    // Silence is when a restart is under way: its end must not wait for the next round.
    if (!answered) hint()
  }
  const hint = throttled(look, { everyMs: shortestMs, clock, signal })
  hint()
  const poll = clock.every(everyMs, hint)
  signal.addEventListener('abort', () => poll[Symbol.dispose](), { once: true })
  if (source === null) return
  const { group, port, from, isOne } = announcements
  listenMulticast({
    group,
    port,
    interfaceAddress: group.includes(':') ? `::%${from.split('%')[1] ?? ''}` : source,
    signal,
    onDatagram: (bytes, sender) => {
      if (sender.address !== from || !isOne(bytes)) return
      announced = true
      hint()
    },
  })
}

function addressGone(address: string): Text {
  return say`this machine no longer has the address ${address}`
}
