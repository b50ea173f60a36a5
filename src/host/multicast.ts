/**
 * Listens to a multicast group on one interface, next to whoever else does. What arrives is only ever a hint: anyone
 * on the network can send it, so the listener gets at most a few datagrams a second and must ask the real one.
 */
import { createSocket } from 'node:dgram'
import { familyOf } from '../base/address.ts'

export interface MulticastListening {
  readonly group: string
  readonly port: number
  /** Our address on the interface to listen on. */
  readonly interfaceAddress: string
  readonly onDatagram: (bytes: Uint8Array, from: { address: string; port: number }) => void
  /** Ends it. */
  readonly signal: AbortSignal
}

const datagramsASecond = 50

/** Returns at once. A port that is exclusively held by another program means that nothing is ever heard. */
export function listenMulticast({
  group,
  port,
  interfaceAddress,
  onDatagram,
  signal,
}: MulticastListening): void {
  if (signal.aborted) return
  const socket = createSocket({ type: familyOf(group) === 6 ? 'udp6' : 'udp4', reuseAddr: true })
  let [second, heard] = [0, 0]
  const close = (): void => {
    signal.removeEventListener('abort', close)
    try {
      socket.close()
    } catch {
      // Closed by its own error.
    }
  }
  socket.on('error', close)
  socket.on('message', (bytes, from) => {
    const now = Math.floor(performance.now() / 1000)
    if (now !== second) [second, heard] = [now, 0]
    if (heard++ < datagramsASecond) onDatagram(bytes, from)
  })
  socket.bind({ port, exclusive: false }, () => {
    try {
      socket.addMembership(group, interfaceAddress)
    } catch {
      // 224.0.0.1 needs none, and an interface may have gone: hints are not relied on.
    }
    socket.unref()
  })
  signal.addEventListener('abort', close, { once: true })
}
