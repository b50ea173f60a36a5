/**
 * Linux: who listens where, from /proc/net/{tcp,tcp6,udp,udp6}, and whose it is, from the links in /proc/PID/fd.
 * Whether an IPv6 wildcard takes IPv4 too is told by `ss` alone.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { isNaruError } from '../../base/errors.ts'
import type { Protocol } from '../../base/port.ts'
import type { Runner, SocketEntry, Sockets } from '../contract.ts'
import { ownerOf } from '../owner.ts'
import { parseTable, type ProcSocket } from './proc-sockets.ts'

type Signal = { readonly signal: AbortSignal }

export function linuxSockets(runner: Runner, procNet: string): Sockets {
  async function list({ signal, all = false }: Signal & { all?: boolean }): Promise<readonly SocketEntry[]> {
    const found = readTables(procNet).filter((socket) => all || socket.state === 'listening')
    const [owners, v6only] = await Promise.all([
      findOwners(new Set(found.map(({ inode }) => inode)), signal),
      readV6Only(runner, found, { signal }),
    ])
    return found.map((socket) => shown(socket, owners, v6only))
  }

  async function owner(protocol: Protocol, port: number, { signal }: Signal): Promise<string | null> {
    const found = readTables(procNet).filter(
      (socket) => socket.protocol === protocol && socket.port === port && socket.state === 'listening',
    )
    if (found.length === 0) return null
    const owners = await findOwners(new Set(found.map(({ inode }) => inode)), signal)
    return ownerOf(found.map(({ inode }) => owners.get(inode) ?? null))
  }

  return { list, owner }
}

function readTables(procNet: string): ProcSocket[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) => [
    ...parseTable(protocol, 4, readText(`${procNet}/${protocol}`)),
    ...parseTable(protocol, 6, readText(`${procNet}/${protocol}6`)),
  ])
}

type Process = { readonly pid: number; readonly name: string }

/**
 * Processes by socket inode. What we may not look into is left out. Links are read synchronously (3 µs each against
 * 40 µs through the thread pool) and the loop lets others in every few ms; it ends when all are found.
 */
async function findOwners(inodes: Set<number>, signal: AbortSignal): Promise<Map<number, Process>> {
  inodes.delete(0)
  const owners = new Map<number, Process>()
  let began = performance.now()
  for (const pid of namesIn('/proc')) {
    if (owners.size === inodes.size) break
    if (!/^\d+$/.test(pid)) continue
    if (performance.now() - began > 10) {
      await setImmediate()
      signal.throwIfAborted()
      began = performance.now()
    }
    let owner: Process | null = null
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      const inode = socketInode(`/proc/${pid}/fd/${fd}`)
      if (inode === 0 || !inodes.has(inode) || owners.has(inode)) continue
      owner ??= { pid: Number(pid), name: nameOf(pid) }
      owners.set(inode, owner)
    }
  }
  return owners
}

function socketInode(link: string): number {
  try {
    const target = readlinkSync(link)
    return target.startsWith('socket:[') ? Number(target.slice(8, -1)) : 0
  } catch {
    return 0
  }
}

/** `comm` is cut at 15 bytes and names a thread; then the program's file name is better. */
function nameOf(pid: string): string {
  const comm = readText(`/proc/${pid}/comm`).trim()
  if (comm.length < 15 && comm !== 'MainThread') return comm
  const program = readText(`/proc/${pid}/cmdline`).split('\0')[0] ?? ''
  return program.split('/').at(-1)?.split(' ')[0] || comm
}

function shown(
  { inode, ...socket }: ProcSocket,
  owners: ReadonlyMap<number, Process>,
  v6only: ReadonlyMap<string, boolean>,
): SocketEntry {
  const known = v6only.get(`${socket.protocol} ${socket.port}`)
  return {
    ...socket,
    v6only: isV6Wildcard(socket) ? (known ?? null) : null,
    process: owners.get(inode) ?? null,
  }
}

function isV6Wildcard(socket: { family: number; address: string; state: string }): boolean {
  return socket.family === 6 && socket.address === '::' && socket.state === 'listening'
}

/** By `protocol port`; empty where there is no IPv6 wildcard listener, or no `ss`. */
async function readV6Only(
  runner: Runner,
  sockets: readonly ProcSocket[],
  { signal }: Signal,
): Promise<Map<string, boolean>> {
  if (!sockets.some(isV6Wildcard)) return new Map()
  try {
    const { stdout } = await runner.run(['ss', '-6Hltune', 'src', '[::]'], { signal, limitMs: 3000 })
    return parseV6Only(stdout)
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING', 'TIMED_OUT', 'COMMAND_FAILED')) return new Map()
    throw error
  }
}

/** `tcp LISTEN 0 511 *:8080 *:* … v6only:0`; `ss` writes a dual-stack wildcard as `*`, the other as `[::]`. */
export function parseV6Only(text: string): Map<string, boolean> {
  const found = new Map<string, boolean>()
  for (const line of text.split('\n')) {
    const match = /^(tcp|udp)\s.*?\s(?:\*|\[::\])(?:%\S+)?:(\d+)\s.*\sv6only:([01])/.exec(line)
    if (match) found.set(`${match[1]} ${match[2]}`, match[3] === '1')
  }
  return found
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
