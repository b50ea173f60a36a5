/**
 * A peer that is gone while bytes wait for it. Keepalive does not ask as long as some do, and the kernel sends them
 * again for 15 minutes. TCP_USER_TIMEOUT would end that, and with it whoever reads nothing for a while but is there: it
 * counts the time of a closed window as well (measured on Linux 6.18; since 5.11). So the kernel is asked what it knows.
 */
import type { Outstanding } from '../model/outstanding.ts'

/** After the silence before the first probe: ten of them, one a second, as Node's own sockets do. */
const probesMs = 10_000

/** True where keepalive would have given it up by now. @param keepaliveMs 0 is never */
export function isGone(waits: Outstanding | null, keepaliveMs: number): boolean {
  return waits !== null && keepaliveMs > 0 && waits.sentAgain && waits.silentMs >= keepaliveMs + probesMs
}
