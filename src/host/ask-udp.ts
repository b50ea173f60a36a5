/**
 * One question by UDP to one address: sent, sent again after each wait, and given up after the last. Only datagrams
 * from exactly that address and port are looked at, and of those only so many; the caller decides which is the answer.
 */
import { createSocket, type Socket } from 'node:dgram'
import { systemClock } from '../base/clock.ts'
import { familyOf } from '../base/address.ts'
import { errnoOf, NaruError } from '../base/errors.ts'
import { verbatim } from '../base/text.ts'

export interface UdpQuestion<T> {
  readonly address: string
  readonly port: number
  /** The address to send from; null lets the system choose. @default null */
  readonly from?: string | null
  readonly bytes: Uint8Array
  /** Milliseconds to wait after the first sending, the second …; the question ends after the last. */
  readonly waitsMs: readonly number[]
  /** The answer, or undefined where these bytes are none: waiting goes on. Must not throw. */
  readonly accept: (bytes: Uint8Array) => T | undefined
  readonly signal: AbortSignal
}

/** Nobody answered; `why` is `ECONNREFUSED` and the like where the system said so. */
export interface UdpSilence {
  readonly silent: true
  readonly why: string
}

/** Datagrams that are no answer and are still looked at: a flood must not keep us parsing. */
const patience = 64

/** @throws NaruError ABORTED with the signal. */
export function askUdp<T>(question: UdpQuestion<T>): Promise<T | UdpSilence> {
  const { address, port, from = null, bytes, waitsMs, accept, signal } = question
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(aborted(question))
    const socket = createSocket({ type: familyOf(address) === 6 ? 'udp6' : 'udp4' })
    let timer: Disposable | undefined
    let sent = 0
    let strangers = 0
    const settle = (outcome: () => void): void => {
      timer?.[Symbol.dispose]()
      signal.removeEventListener('abort', stop)
      socket.removeAllListeners('error').on('error', () => {})
      socket.removeAllListeners('message')
      closeQuietly(socket)
      outcome()
    }
    const stop = (): void => settle(() => reject(aborted(question)))
    const silence = (why: string): void => settle(() => resolve({ silent: true, why }))
    const send = (): void => {
      const wait = waitsMs[sent++]
      if (wait === undefined) return silence('no answer')
      socket.send(bytes, (failure) => {
        if (failure) silence(errnoOf(failure) ?? failure.message)
      })
      timer = systemClock.after(wait, send)
    }
    signal.addEventListener('abort', stop, { once: true })
    socket.on('error', (failure) => silence(errnoOf(failure) ?? failure.message))
    socket.on('message', (answer) => {
      const accepted = strangers++ < patience ? accept(answer) : undefined
      if (accepted !== undefined) settle(() => resolve(accepted))
    })
    // Connected, so that the kernel drops every other sender and hands on "port unreachable".
    const connect = (): void => {
      socket.connect(port, address, (failure?: Error) => {
        if (failure) silence(errnoOf(failure) ?? failure.message)
        else send()
      })
    }
    if (from === null) connect()
    else socket.bind({ address: from, port: 0 }, connect)
  })
}

/** Is that address still this machine's? DHCP takes addresses away without a word. */
export function hasAddress(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: familyOf(address) === 6 ? 'udp6' : 'udp4' })
    socket.on('error', () => {
      closeQuietly(socket)
      resolve(false)
    })
    socket.bind({ address, port: 0 }, () => {
      closeQuietly(socket)
      resolve(true)
    })
  })
}

export function isSilence(answer: unknown): answer is UdpSilence {
  return typeof answer === 'object' && answer !== null && 'silent' in answer
}

function aborted({ address, port }: { address: string; port: number }): NaruError {
  return new NaruError('ABORTED', { what: verbatim(`UDP ${address}:${port}`) })
}

function closeQuietly(socket: Socket): void {
  try {
    socket.close()
  } catch {
    // Closed already, by its own error.
  }
}
