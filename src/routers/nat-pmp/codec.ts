/**
 * NAT-PMP on the wire (RFC 6886 §3): requests to bytes, answers from bytes. An answer that is not one is undefined;
 * nothing here throws.
 */
import type { Protocol } from '../../base/port.ts'

export const natPmpPort = 5351
/** Where gateways announce a new address or a restart, on 224.0.0.1 (§3.2.1). */
export const announcementPort = 5350

/** §3.5. */
export const resultNames = [
  'success',
  'unsupported version',
  'not authorized or refused',
  'network failure',
  'out of resources',
  'unsupported opcode',
] as const

interface Answered {
  /** 0 is success, see `resultNames`. */
  readonly result: number
  /** Seconds since the gateway's table was made. */
  readonly epoch: number
}

export interface AddressAnswer extends Answered {
  /** Null unless the result is success. */
  readonly externalAddress: string | null
}

export interface NatPmpMapAnswer extends Answered {
  readonly internalPort: number
  readonly externalPort: number
  readonly lifetimeSeconds: number
}

export function addressRequest(): Uint8Array {
  return Uint8Array.of(0, 0)
}

/** Lifetime 0 with external port 0 deletes (§3.4). */
export function mapRequest(
  protocol: Protocol,
  ports: { internalPort: number; externalPort: number },
  lifetimeSeconds: number,
): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, opcode(protocol))
  view.setUint16(4, ports.internalPort)
  view.setUint16(6, ports.externalPort)
  view.setUint32(8, lifetimeSeconds)
  return bytes
}

/** The answer to `addressRequest`, and what a gateway announces. */
export function parseAddressAnswer(bytes: Uint8Array): AddressAnswer | undefined {
  const view = answerTo(0, bytes)
  if (!view) return undefined
  const result = view.getUint16(2)
  if (result === 0 && bytes.length < 12) return undefined
  // Without a line of its own some say 0.0.0.0 in place of a failure.
  const told = result === 0 && bytes.subarray(8, 12).some((byte) => byte !== 0)
  return {
    result,
    epoch: view.getUint32(4),
    externalAddress: told ? bytes.subarray(8, 12).join('.') : null,
  }
}

/** The answer to the mapping of that protocol and internal port; another mapping's is none. */
export function parseMapAnswer(
  bytes: Uint8Array,
  protocol: Protocol,
  internalPort: number,
): NatPmpMapAnswer | undefined {
  const view = answerTo(opcode(protocol), bytes)
  if (!view) return undefined
  const [result, epoch] = [view.getUint16(2), view.getUint32(4)]
  // Some gateways send a refusal as its first 8 bytes alone.
  if (bytes.length < 16)
    return result === 0 ? undefined : { result, epoch, internalPort, externalPort: 0, lifetimeSeconds: 0 }
  if (view.getUint16(8) !== internalPort) return undefined
  return {
    result,
    epoch,
    internalPort,
    externalPort: view.getUint16(10),
    lifetimeSeconds: view.getUint32(12),
  }
}

/** §3.5: an unknown opcode comes back as itself + 128; version 0 only. */
function answerTo(opcode: number, bytes: Uint8Array): DataView | undefined {
  if (bytes.length < 8 || bytes.length > 64) return undefined
  const ours = bytes[0] === 0 && bytes[1] === opcode + 128
  return ours ? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) : undefined
}

function opcode(protocol: Protocol): number {
  return protocol === 'udp' ? 1 : 2
}
