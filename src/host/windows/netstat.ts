/**
 * `netstat -ano`, in whatever language: a row is `TCP|UDP local foreign [state] [pid]`. A listener is known by its
 * foreign address `0.0.0.0:0` or `[::]:0`, since the word for LISTENING is translated on some systems.
 */
import { canonicalAddress, familyOf } from '../../base/address.ts'
import type { SocketEntry } from '../contract.ts'

export interface WindowsSocket extends Omit<SocketEntry, 'process' | 'v6only'> {
  /** Null where netstat printed none (wine). */
  readonly pid: number | null
}

export function parseNetstat(text: string): WindowsSocket[] {
  return text.split('\n').flatMap((line) => {
    const [proto = '', local = '', foreign = '', ...rest] = line.trim().split(/\s+/)
    const protocol = proto === 'TCP' ? 'tcp' : proto === 'UDP' ? 'udp' : null
    const here = endpoint(local)
    if (!protocol || !here || foreign === '') return []
    const pid = /^\d+$/.test(rest.at(-1) ?? '') ? Number(rest.at(-1)) : null
    const peer = endpoint(foreign)
    const listening = protocol === 'udp' || peer?.port === 0
    return [
      {
        protocol,
        family: familyOf(here.address),
        ...here,
        peer: listening || !peer ? null : peer,
        state: listening ? ('listening' as const) : stateOf(rest[0] ?? ''),
        pid,
      },
    ]
  })
}

/** `Get-NetTCPConnection`, `Get-NetUDPEndpoint` through ConvertTo-Json: one object or an array. */
export function parseNetConnections(protocol: 'tcp' | 'udp', json: string): WindowsSocket[] {
  return jsonRows(json).flatMap((row) => {
    const { LocalAddress: address, LocalPort: port, OwningProcess: pid } = row
    if (typeof address !== 'string' || canonicalAddress(bare(address)) === null || typeof port !== 'number')
      return []
    const state = protocol === 'udp' ? 'listening' : stateOf(String(row['State']))
    const { RemoteAddress: remote, RemotePort: remotePort } = row
    const peer =
      state !== 'listening' && typeof remote === 'string' && typeof remotePort === 'number'
        ? { address: remote, port: remotePort }
        : null
    return [
      {
        protocol,
        family: familyOf(address),
        address,
        port,
        peer,
        state,
        pid: typeof pid === 'number' ? pid : null,
      },
    ]
  })
}

export function jsonRows(json: string): Record<string, unknown>[] {
  try {
    const parsed: unknown = JSON.parse(json)
    const rows: unknown[] = Array.isArray(parsed) ? parsed : [parsed]
    return rows.filter((row): row is Record<string, unknown> => typeof row === 'object' && row !== null)
  } catch {
    return []
  }
}

/** Words of netstat, and the numbers of MSFT_NetTCPConnection.State. */
const states: Record<string, SocketEntry['state']> = {
  LISTENING: 'listening',
  LISTEN: 'listening',
  ESTABLISHED: 'established',
  SYN_RECEIVED: 'syn-received',
  SYN_RCVD: 'syn-received',
  SYNRECEIVED: 'syn-received',
  HERGESTELLT: 'established',
  '2': 'listening',
  '4': 'syn-received',
  '5': 'established',
}

function stateOf(word: string): SocketEntry['state'] {
  return states[word.toUpperCase()] ?? 'other'
}

function endpoint(text: string): { address: string; port: number } | null {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const address = match?.[1] ?? match?.[2]
  if (!match || address === undefined || canonicalAddress(bare(address)) === null) return null
  return { address, port: Number(match[3]) }
}

function bare(address: string): string {
  return address.split('%')[0] as string
}

/** `tasklist /fo csv /nh`: `"nginx.exe","812","Services","0","9,120 K"`. */
export function parseTasklist(text: string): Map<number, string> {
  const names = new Map<number, string>()
  for (const [, name = '', pid] of text.matchAll(/^"([^"]*)","(\d+)"/gm)) names.set(Number(pid), name)
  return names
}
