/** The error that waits at a socket of this process (SO_ERROR, socket(7)); asking takes it away. */
import { native } from './native.ts'

const [levelSocket, optionError] = [1, 4]
/** ECONNRESET and ETIMEDOUT (errno(3)). */
const [connectionReset, timedOut] = [104, 110]
const error = new Int32Array(1)
const length = new Uint32Array(1)
// Asked at the end of each connection: made once.
const [errorThere, lengthThere] = [new Uint8Array(error.buffer), new Uint8Array(length.buffer)]

/**
 * `reset` by the peer, or `lost` where it answered no more; null for neither, and where the system cannot be asked. A
 * reset that comes after the peer's FIN is EPIPE (tcp_reset in the kernel), and is none here: all it said has arrived.
 */
export function takeError(fd: number): 'reset' | 'lost' | null {
  error[0] = 0
  length[0] = error.byteLength
  const asked = native()?.getsockopt(fd, levelSocket, optionError, errorThere, lengthThere)
  if (asked !== 0) return null
  if (error[0] === connectionReset) return 'reset'
  return error[0] === timedOut ? 'lost' : null
}
