/** struct tcp_info (linux/tcp.h) as getsockopt(TCP_INFO) gives it: as much as tells what waits for the peer. */
import type { Outstanding } from '../model/outstanding.ts'
import { native } from './native.ts'

export const tcpInfoBytes = 160
const [levelTcp, optionInfo] = [6, 11]
const at = { retransmits: 2, probes: 3, backoff: 4, unacked: 24, silentMs: 56, acked: 120, notSent: 144 }

/** Null where nothing waits. @param from where in `bytes` it lies */
export function readTcpInfo(bytes: Uint8Array, from: number): Outstanding | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, tcpInfoBytes)
  if (view.getUint32(at.unacked, true) === 0 && view.getUint32(at.notSent, true) === 0) return null
  return {
    ackedBytes: view.getUint32(at.acked, true) + view.getUint32(at.acked + 4, true) * 2 ** 32,
    silentMs: view.getUint32(at.silentMs, true),
    sentAgain: [at.retransmits, at.probes, at.backoff].some((field) => view.getUint8(field) !== 0),
  }
}

const info = new Uint8Array(tcpInfoBytes)
const length = new Uint32Array(1)

/** Of a socket of this process. Null where nothing waits, where it is no TCP, and where the system cannot be asked. */
export function outstandingOf(fd: number): Outstanding | null {
  info.fill(0)
  length[0] = tcpInfoBytes
  const failed = native()?.getsockopt(fd, levelTcp, optionInfo, info, new Uint8Array(length.buffer)) !== 0
  return failed ? null : readTcpInfo(info, 0)
}
