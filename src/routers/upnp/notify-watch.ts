/**
 * Notices that a gateway restarted: another BOOTID, another place, a shorter uptime, or simply that it answers again.
 * It is asked by unicast every few seconds, and when an announcement (NOTIFY) hints that something changed.
 */
import { familyOf } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { say, type Text } from '../../base/text.ts'
import { pollAndListen } from '../../host/poll-and-listen.ts'
import { findAt, type Device } from './device.ts'
import type { FoundDevice } from './search.ts'
import { parseNotice, ssdpGroup, ssdpGroups6, ssdpPort } from './ssdp.ts'
import { uptimeSeconds } from './table.ts'

export interface WatchOptions {
  readonly signal: AbortSignal
  readonly clock: Clock
  /** @default 2_500 */
  readonly pollMs?: number
  readonly onRestart: (why: Text) => void
}

interface Sight {
  readonly bootId: number | null
  readonly location: string
  readonly uptime: number | null
  readonly atMs: number
}

export function watchDevice(device: Device, { signal, clock, pollMs = 2500, onRestart }: WatchOptions): void {
  let last: Sight | 'silent' = firstSight(device, clock)
  const ask = async (): Promise<boolean> => {
    const now = (await see(device, clock, signal).catch(() => null)) ?? 'silent'
    if (signal.aborted) return true
    const why = change(last, now)
    last = now
    if (why) onRestart(why)
    return now !== 'silent'
  }
  const { source, address } = device.place
  pollAndListen({
    ask,
    everyMs: pollMs,
    source,
    onAddressGone: onRestart,
    announcements: {
      group: familyOf(address) === 6 ? ssdpGroups6[0] : ssdpGroup,
      port: ssdpPort,
      from: address,
      isOne: (bytes) => parseNotice(bytes) !== undefined,
    },
    clock,
    signal,
  })
}

/** As it was found: a restart before the first look is one too. */
function firstSight({ bootId, location }: Device, clock: Clock): Sight {
  return { bootId, location: location.href, uptime: null, atMs: clock.monotonic() }
}

/** Null where it does not answer at all. Uptime is asked for only where nothing else tells of a restart. */
async function see(device: Device, clock: Clock, signal: AbortSignal): Promise<Sight | null> {
  const all = await findAt(device.place, signal, 900, { target: device.target })
  // A box may hold a media server too: ours is the one that was found, or else the first.
  const found: FoundDevice | undefined =
    all.find(({ location }) => location.href === device.location.href) ?? all[0]
  const atMs = clock.monotonic()
  if (found && found.bootId !== null)
    return { bootId: found.bootId, location: found.location.href, uptime: null, atMs }
  const uptime = await uptimeSeconds(device, { signal }).catch(() => null)
  if (!found && uptime === null) return null
  return { bootId: null, location: found?.location.href ?? device.location.href, uptime, atMs }
}

function change(before: Sight | 'silent', now: Sight | 'silent'): Text | null {
  if (now === 'silent') return null
  if (before === 'silent') return say('the router answers again')
  if (now.bootId !== null && before.bootId !== null && now.bootId !== before.bootId)
    return say`the router restarted (BOOTID ${now.bootId})`
  if (now.location !== before.location) return say`the router answers at ${now.location} now`
  if (now.uptime !== null && before.uptime !== null && now.uptime < before.uptime)
    return say`the router has been up for ${now.uptime} s only`
  return null
}
