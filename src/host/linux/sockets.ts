/**
 * Linux: who listens where, asked of the kernel itself, or from one run of `ss`, or from /proc/net/{tcp,tcp6,udp,udp6}
 * where there is neither; and whose it is, from the links in /proc/PID/fd.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { isNaruError } from '../../base/errors.ts'
import type { Protocol } from '../../base/port.ts'
import type { Runner, SocketEntry, Sockets } from '../contract.ts'
import { holderText } from '../port-holder.ts'
import { native } from '../../linux/native.ts'
import { parseTable, type ProcSocket } from './proc-sockets.ts'
import { readDiag } from './sock-diag.ts'
import { parseSs, type SsSocket } from './ss.ts'

type Signal = { readonly signal: AbortSignal }

/** @param here whether the commands and the tables are those of this process's own network */
export function linuxSockets(runner: Runner, procNet: string, here: boolean): Sockets {
  const list: Sockets['list'] = async ({ signal, all = false, holders = true }) => {
    const wanted = readSockets(all, signal)
    const owners = holders ? await findOwners(wanted, signal) : noOwners
    return (await wanted).map((socket) => entryOf(socket, owners))
  }

  async function readSockets(all: boolean, signal: AbortSignal): Promise<readonly SsSocket[]> {
    const asked = here ? await readDiag(all, signal) : null
    if (asked) return asked
    const found = (await fromSs(runner, signal)) ?? fromTables(procNet)
    return found.filter(({ state }) => all || state === 'listening')
  }

  async function owner(protocol: Protocol, port: number, { signal }: Signal): Promise<string | null> {
    const there = readTables(procNet).filter((one) => one.protocol === protocol && one.port === port)
    const listening = there.filter(({ state }) => state === 'listening')
    // A connection that left from this port keeps it as well.
    const found = listening.length > 0 ? listening : there
    if (found.length === 0) return null
    const owners = await findOwners(Promise.resolve(found), signal)
    return holderText(found.map(({ inode }) => owners.get(inode) ?? null))
  }

  return { list, owner }
}

/** Spelt out: taking `inode` away by a rest pattern takes ten times as long. */
function entryOf(socket: SsSocket, owners: ReadonlyMap<number, Process>): SocketEntry {
  const { protocol, family, address, port, peer, state, v6only, inode } = socket
  return { protocol, family, address, port, peer, state, v6only, process: owners.get(inode) ?? null }
}

async function fromSs(runner: Runner, signal: AbortSignal): Promise<SsSocket[] | null> {
  try {
    const { exit, stdout } = await runner.run(['ss', '-Htuane'], { signal, limitMs: 3000 })
    return exit === 0 ? parseSs(stdout) : null
  } catch (error) {
    if (!isNaruError(error, 'COMMAND_MISSING', 'TIMED_OUT', 'COMMAND_FAILED')) throw error
    return null
  }
}

const fromTables = (procNet: string): SsSocket[] =>
  readTables(procNet).map((socket) => ({ ...socket, v6only: null }))

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
    using folder = openLinks(pid)
    for (const fd of folder.names) {
      if (performance.now() - began > sliceMs) {
        await setImmediate()
        signal.throwIfAborted()
        began = performance.now()
      }
      if (search.missing?.size === 0) return owners
      const inode = folder.socketInode(fd)
      if (inode === 0 || owners.has(inode)) continue
      owner ??= { pid: Number(pid), name: nameOf(pid) }
      owners.set(inode, owner)
      search.missing?.delete(inode)
    }
  }
  return owners
}

interface Links extends Disposable {
  readonly names: readonly string[]
  /** 0 where it is no socket. */
  socketInode(name: string): number
}

/** What process `pid` holds; nothing where it is gone or another user's. */
function openLinks(pid: string): Links {
  const path = `/proc/${pid}/fd`
  const names = namesIn(path)
  const calls = names.length > fewLinks ? native() : null
  const folder = calls && openFolder(path)
  if (!calls || folder === null)
    return { names, socketInode: (name) => inodeIn(linkAt(`${path}/${name}`)), [Symbol.dispose]() {} }
  const socketInode = (name: string): number => {
    const length = calls.readlinkat(folder, name, link, link.length)
    return length > 0 ? inodeIn(link.toString('latin1', 0, length)) : 0
  }
  return { names, socketInode, [Symbol.dispose]: () => closeSync(folder) }
}

/** Below this opening the folder costs more than it saves. */
const fewLinks = 16
/** `socket:[4294967295]`; what is longer is a path, and none. */
const link = Buffer.alloc(20)

function inodeIn(target: string): number {
  return target.startsWith('socket:[') ? Number.parseInt(target.slice(8), 10) || 0 : 0
}

function openFolder(path: string): number | null {
  try {
    return openSync(path, 'r')
  } catch {
    return null
  }
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
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
