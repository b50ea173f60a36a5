/**
 * Is somebody there? A TCP connection that is made and closed again. A hypervisor that forwards in user space takes
 * the connection before its guest does, and hangs up when the guest refuses: then it is worth staying for a moment.
 */
import { connect } from 'node:net'
import { systemClock } from '../base/clock.ts'
import { NaruError, messageOf } from '../base/errors.ts'
import type { Deps } from '../instance/deps.ts'
import { metItself } from '../relay/dial.ts'

export const probe: Deps['probe'] = ({ host, port }, { signal, stayMs = 0 }) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    let stay: Disposable | undefined
    const stop = (): void => void socket.destroy(new Error('no answer in time'))
    const fail = (why: string, cause?: unknown): void =>
      reject(new NaruError('TARGET_SILENT', { target: `${host}:${port}`, why }, { cause }))
    const found = (): void => {
      resolve()
      socket.destroy()
    }
    signal.addEventListener('abort', stop)
    socket.once('connect', () => {
      if (metItself(socket)) return void socket.destroy(new Error('connect ECONNREFUSED'))
      if (stayMs === 0) return found()
      socket.resume()
      stay = systemClock.after(stayMs, found)
    })
    // Whoever says something is there, even if it hangs up then.
    socket.once('data', found)
    socket.once('end', () => fail('it was hung up on at once, so nobody listens behind that forward'))
    socket.once('error', (error) => fail(messageOf(error), error))
    socket.once('close', () => {
      stay?.[Symbol.dispose]()
      signal.removeEventListener('abort', stop)
    })
  })
