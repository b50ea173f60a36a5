/**
 * Asks a STUN server which public address we have (RFC 8489, Binding over UDP). Only with the user's word: it is the
 * one packet of Naru's that leaves for the internet by itself.
 */
import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { isIP } from 'node:net'
import { lookup } from 'node:dns/promises'
import { addressFromBytes, type Family } from '../base/address.ts'
import { withLimit, systemClock } from '../base/clock.ts'

export interface StunServer {
  readonly host: string
  /** @default 3478 */
  readonly port?: number
}

export interface StunAnswer {
  readonly server: string
  readonly address: string
  readonly port: number
}

/** Asked in order until one answers; the file may name others. */
export const stunServers: readonly StunServer[] = [
  { host: 'stun.cloudflare.com', port: 3478 },
  { host: 'stun.l.google.com', port: 19_302 },
]

const magicCookie = 0x2112_a442
const bindingRequest = 0x0001
const bindingSuccess = 0x0101
/** RFC 8489 §6.2.1 starts at 500 ms and doubles; three sendings are enough for "is there an answer". */
const sendAtMs = [0, 500, 1500]

/** @returns null where no server answered within `limitMs` each. */
export async function askStun(options: {
  readonly signal: AbortSignal
  /** @default stunServers */
  readonly servers?: readonly StunServer[]
  /** @default 4 */
  readonly family?: Family
  /** @default 3000 */
  readonly limitMs?: number
}): Promise<StunAnswer | null> {
  const { signal, servers = stunServers, family = 4, limitMs = 3000 } = options
  for (const { host, port = 3478 } of servers) {
    signal.throwIfAborted()
    const answer = await askOne(host, port, family, withLimit(signal, limitMs)).catch(() => null)
    if (answer) return { server: `${host}:${port}`, ...answer }
  }
  return null
}

async function askOne(
  host: string,
  port: number,
  family: Family,
  signal: AbortSignal,
): Promise<{ address: string; port: number } | null> {
  const server = isIP(host) ? host : (await lookup(host, { family })).address
  const transaction = randomBytes(12)
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6')
  try {
    return await exchange(socket, { server, port, transaction, signal })
  } finally {
    socket.close()
  }
}

function exchange(
  socket: Socket,
  to: { server: string; port: number; transaction: Buffer; signal: AbortSignal },
): Promise<{ address: string; port: number } | null> {
  return new Promise((resolve, reject) => {
    const request = bindingRequestWith(to.transaction)
    const timers = sendAtMs.map((ms) =>
      systemClock.after(ms, () => socket.send(request, to.port, to.server, () => {})),
    )
    const settle = (outcome: () => void): void => {
      for (const timer of timers) timer[Symbol.dispose]()
      to.signal.removeEventListener('abort', onAbort)
      outcome()
    }
    const onAbort = (): void => settle(() => resolve(null))
    to.signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', (error) => settle(() => reject(error)))
    socket.on('message', (message) => {
      const answer = parseBindingAnswer(message, to.transaction)
      if (answer) settle(() => resolve(answer))
    })
  })
}

function bindingRequestWith(transaction: Buffer): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(bindingRequest, 0)
  header.writeUInt32BE(magicCookie, 4)
  transaction.copy(header, 8)
  return header
}

/** The mapped address of a success answer to `transaction`; null for anything else. RFC 8489 §5, §14.1–2. */
export function parseBindingAnswer(
  message: Buffer,
  transaction: Buffer,
): { address: string; port: number } | null {
  if (message.length < 20 || message.length > 1500 || message.readUInt16BE(0) !== bindingSuccess) return null
  if (message.readUInt32BE(4) !== magicCookie || !message.subarray(8, 20).equals(transaction)) return null
  const end = Math.min(message.length, 20 + message.readUInt16BE(2))
  let plain: { address: string; port: number } | null = null
  for (let at = 20; at + 4 <= end;) {
    const type = message.readUInt16BE(at)
    const length = message.readUInt16BE(at + 2)
    const value = message.subarray(at + 4, Math.min(at + 4 + length, end))
    if (type === 0x0020) return mappedAddress(value, message.subarray(4, 20))
    if (type === 0x0001) plain ??= mappedAddress(value, Buffer.alloc(16))
    at += 4 + Math.ceil(length / 4) * 4
  }
  return plain
}

/** `mask` is cookie and transaction for XOR-MAPPED-ADDRESS, zeros for MAPPED-ADDRESS. */
function mappedAddress(value: Buffer, mask: Buffer): { address: string; port: number } | null {
  const bytes = value[1] === 1 ? 4 : value[1] === 2 ? 16 : 0
  if (bytes === 0 || value.length < 4 + bytes) return null
  const address = value.subarray(4, 4 + bytes).map((byte, index) => byte ^ (mask[index] ?? 0))
  return { address: addressFromBytes(address), port: value.readUInt16BE(2) ^ mask.readUInt16BE(0) }
}
