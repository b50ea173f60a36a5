/** The error that waits at a socket of this process (SO_ERROR, socket(7)); asking takes it away. */
import { native } from './native.ts'

const [levelSocket, optionError] = [1, 4]
const error = new Int32Array(1)
const length = new Uint32Array(1)

/** True where one does; null where the system cannot be asked. */
export function hasError(fd: number): boolean | null {
  error[0] = 0
  length[0] = error.byteLength
  const asked = native()?.getsockopt(
    fd,
    levelSocket,
    optionError,
    new Uint8Array(error.buffer),
    new Uint8Array(length.buffer),
  )
  return asked === 0 ? error[0] !== 0 : null
}
