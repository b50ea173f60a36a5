/**
 * Is somebody there? A TCP connection that is made and closed again. A hypervisor that forwards in user space takes
 * the connection before its guest does, and hangs up when the guest refuses: then it is worth staying for a moment.
 */
import { connect } from 'node:net'
import { systemClock } from '../base/clock.ts'
import { NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import { unreachedText } from '../base/unreached.ts'
import type { Deps } from '../instance/deps.ts'
import { metItself } from '../relay/dial.ts'

export const probe: Deps['probe'] = ({ host, port }, { signal, stayMs = 0 }) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    let stay: Disposable | undefined
    const stop = (): void => void socket.destroy(late)
    const fail = (why: Text, cause?: unknown): void =>
      reject(new NaruError('TARGET_SILENT', { target: `${host}:${port}`, why }, { cause }))
    const found = (): void => {
      resolve()
      socket.destroy()
    }
    signal.addEventListener('abort', stop)
    socket.once('connect', () => {
      if (metItself(socket)) return void socket.destroy(refused)
      if (stayMs === 0) return found()
      socket.resume()
      stay = systemClock.after(stayMs, found)
    })
    // Whoever says something is there, even if it hangs up then.
    socket.once('data', found)
    socket.once('end', () => fail(hungUp))
    socket.once('error', (error) => fail(unreachedText(error), error))
    socket.once('close', () => {
      stay?.[Symbol.dispose]()
      signal.removeEventListener('abort', stop)
    })
  })

const late = Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })
const refused = Object.assign(new Error('nobody listens there'), { code: 'ECONNREFUSED' })
const hungUp = say('it was hung up on at once, so nobody listens behind that forward')
