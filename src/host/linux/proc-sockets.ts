/** The four socket tables of /proc/net (proc(5)): lines of text in, sockets with their inode out. */
import type { Family } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import type { SocketEntry } from '../contract.ts'
import { hexAddress } from './proc-address.ts'

export interface ProcSocket extends Omit<SocketEntry, 'process' | 'v6only'> {
  /** 0 once nobody holds it (TIME-WAIT). */
  readonly inode: number
}

/** `  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 12345 …`; other lines are passed over. */
export function parseTable(protocol: Protocol, family: Family, text: string): ProcSocket[] {
  const sockets: ProcSocket[] = []
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/)
    const [, local, remote, state, , , , , , inode] = fields
    if (fields.length < 10 || !local || !remote || !state || !inode) continue
    const here = endpoint(local, family)
    const there = endpoint(remote, family)
    if (!here || !there) continue
    sockets.push({
      protocol,
      family,
      address: here.address,
      port: here.port,
      peer: there.port === 0 ? null : there,
      state: stateOf(protocol, state),
      inode: Number(inode) || 0,
    })
  }
  return sockets
}

function endpoint(text: string, family: Family): { address: string; port: number } | null {
  const digits = family === 4 ? 8 : 32
  if (text.length !== digits + 5 || text[digits] !== ':') return null
  const port = Number.parseInt(text.slice(digits + 1), 16)
  return Number.isNaN(port) ? null : { address: addressOf(text.slice(0, digits)), port }
}

const wildcards: Record<string, string> = { '00000000': '0.0.0.0', [''.padEnd(32, '0')]: '::' }

function addressOf(hex: string): string {
  return wildcards[hex] ?? hexAddress(hex)
}

/** TCP_LISTEN 0A, TCP_ESTABLISHED 01, TCP_SYN_RECV 03 (include/net/tcp_states.h); an unconnected UDP socket is TCP_CLOSE 07. */
function stateOf(protocol: Protocol, hex: string): SocketEntry['state'] {
  if (hex === '01') return 'established'
  if (hex === (protocol === 'tcp' ? '0A' : '07')) return 'listening'
  return hex === '03' ? 'syn-received' : 'other'
}
