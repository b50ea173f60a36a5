/**
 * Linux: who listens where, from one run of `ss`, or from /proc/net/{tcp,tcp6,udp,udp6} where there is none; and whose
 * it is, from the links in /proc/PID/fd, which are read meanwhile.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { isNaruError } from '../../base/errors.ts'
import type { Protocol } from '../../base/port.ts'
import type { Runner, Sockets } from '../contract.ts'
import { ownerOf } from '../owner.ts'
import { parseTable, type ProcSocket } from './proc-sockets.ts'
import { parseSs, type SsSocket } from './ss.ts'

type Signal = { readonly signal: AbortSignal }

export function linuxSockets(runner: Runner, procNet: string): Sockets {
  const list: Sockets['list'] = async ({ signal, all = false, holders = true }) => {
    const wanted = readSockets(runner, procNet, signal).then((found) =>
      found.filter(({ state }) => all || state === 'listening'),
    )
    const owners = holders ? await findOwners(wanted, signal) : noOwners
    return (await wanted).map(({ inode, ...socket }) => ({ ...socket, process: owners.get(inode) ?? null }))
  }

  async function owner(protocol: Protocol, port: number, { signal }: Signal): Promise<string | null> {
    const found = readTables(procNet).filter(
      (socket) => socket.protocol === protocol && socket.port === port && socket.state === 'listening',
    )
    if (found.length === 0) return null
    const owners = await findOwners(Promise.resolve(found), signal)
    return ownerOf(found.map(({ inode }) => owners.get(inode) ?? null))
  }

  return { list, owner }
}

async function readSockets(runner: Runner, procNet: string, signal: AbortSignal): Promise<SsSocket[]> {
  try {
    const { exit, stdout } = await runner.run(['ss', '-Htuane'], { signal, limitMs: 3000 })
    if (exit === 0) return parseSs(stdout)
  } catch (error) {
    if (!isNaruError(error, 'COMMAND_MISSING', 'TIMED_OUT', 'COMMAND_FAILED')) throw error
  }
  return readTables(procNet).map((socket) => ({ ...socket, v6only: null }))
}

function readTables(procNet: string): ProcSocket[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) => [
    ...parseTable(protocol, 4, readText(`${procNet}/${protocol}`)),
    ...parseTable(protocol, 6, readText(`${procNet}/${protocol}6`)),
  ])
}

type Process = { readonly pid: number; readonly name: string }
const noOwners: ReadonlyMap<number, Process> = new Map()

/** Others are let in this often. */
const sliceMs = 5

/**
 * Processes by socket inode. What we may not look into is left out. Links are read synchronously (4 µs each against
 * 40 µs through the thread pool); it ends early once the sockets that are wanted are known and found.
 */
async function findOwners(
  wanted: Promise<readonly { readonly inode: number }[]>,
  signal: AbortSignal,
): Promise<Map<number, Process>> {
  const owners = new Map<number, Process>()
  /** Null until it is known which are wanted. */
  const search: { missing: Set<number> | null } = { missing: null }
  void wanted
    .catch(() => [])
    .then((sockets) => {
      const open = sockets.map(({ inode }) => inode).filter((inode) => inode !== 0 && !owners.has(inode))
      search.missing = new Set(open)
    })
  let began = performance.now()
  for (const pid of namesIn('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    let owner: Process | null = null
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      if (performance.now() - began > sliceMs) {
        await setImmediate()
        signal.throwIfAborted()
        began = performance.now()
      }
      if (search.missing?.size === 0) return owners
      const inode = socketInode(`/proc/${pid}/fd/${fd}`)
      if (inode === 0 || owners.has(inode)) continue
      owner ??= { pid: Number(pid), name: nameOf(pid) }
      owners.set(inode, owner)
      search.missing?.delete(inode)
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
