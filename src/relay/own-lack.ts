/**
 * What this machine lacks where a target cannot be dialled: nothing of that is the target's fault, nor the engine's. An
 * error's name and the address that was dialled go in, the reason that people read comes out.
 */
import { networkInterfaces } from 'node:os'
import { addressRange, familyOf } from '../base/address.ts'
import type { CloseReason } from '../model/connection.ts'

export type OwnLack = Extract<CloseReason, 'no-room' | 'no-local-port' | 'no-local-address'>

const own: ReadonlySet<CloseReason> = new Set([
  'engine-error',
  'no-room',
  'no-local-port',
  'no-local-address',
])

/** Whether a dial that ended so says nothing of its target. */
export function isOwnFault(reason: CloseReason): boolean {
  return own.has(reason)
}

/** @param address where it was dialled; null for a path. @returns null where it speaks of the target */
export function ownLack(errno: string, address: string | null): OwnLack | null {
  switch (errno) {
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'ENOMEM':
      return 'no-room'
    case 'EAFNOSUPPORT':
      return 'no-local-address'
    // A UDP socket that gets no port is told to try again (inet_autobind in the kernel), one that binds first EADDRINUSE.
    case 'EAGAIN':
    case 'EADDRINUSE':
    case 'EADDRNOTAVAIL':
      if (address === null) return null
      return hasSourceFor(address) ? 'no-local-port' : 'no-local-address'
    case 'ENETUNREACH':
      return address === null || hasSourceFor(address) ? null : 'no-local-address'
    default:
      return null
  }
}

/** A machine without IPv4 is none that Naru meets; without IPv6 many are, some of them with a `::1` and some without. */
function hasSourceFor(address: string): boolean {
  if (familyOf(address) === 4) return true
  const loopback = addressRange(address) === 'loopback'
  return ownAddresses6().some((internal) => internal === loopback)
}

/** How long one reading (60 µs) serves, ms: of dials that fail there may be thousands a second. */
const freshMs = 1000
let known: { readonly at: number; readonly internal: readonly boolean[] } | null = null

/** Of each IPv6 address of this machine whether it is loopback's. */
function ownAddresses6(): readonly boolean[] {
  const now = performance.now()
  if (!known || now - known.at > freshMs) {
    const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
    const internal = all.filter(({ family }) => family === 'IPv6').map((entry) => entry.internal)
    known = { at: now, internal }
  }
  return known.internal
}
