/**
 * Every call into the kernel, and nothing else: koffi's untyped pointers and raw descriptor numbers stay in this
 * file. Above it a descriptor is a `Descriptor` (closed for good once closed) and memory is an `Arena` (bounds
 * checked), so that neither a wrong size nor a reused number can be reached. What an arena holds for a call is laid
 * out beside it: events (epoll.ts), messages (datagrams.ts, rights-message.ts), a ring (ring.ts).
 */
import { constants } from 'node:os'
import { requireOwn } from './own-package.ts'
import type { Outstanding } from '../model/outstanding.ts'
import { readTcpInfo, tcpInfoBytes } from './tcp-info.ts'

const { errno } = constants
export const {
  EAGAIN,
  EALREADY,
  EINPROGRESS,
  EADDRINUSE,
  EACCES,
  EADDRNOTAVAIL,
  EINTR,
  ECONNREFUSED,
  ECONNRESET,
  ECANCELED,
} = errno
export const { EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPIPE, EIO, EINVAL, ETIMEDOUT, EMSGSIZE } = errno
export const { EHOSTUNREACH, ENETUNREACH, ECONNABORTED, EPROTO, EAFNOSUPPORT, ENOENT, EDESTADDRREQ } = errno
export const { EOPNOTSUPP, EPROTONOSUPPORT } = errno
export const familyUnix = 1
export const familyInet = 2
export const familyInet6 = 10

const sockNonBlockCloseOnExec = 0x800 | 0x8_0000
const msgNoSignal = 0x4000
const msgDontWait = 0x40
const msgMore = 0x8000

type Native = (...args: (number | bigint | string | null)[]) => number
interface Library {
  func(prototype: string): Native
}
interface Koffi {
  load(path: string | null): Library
  errno(): number
  view(pointer: bigint, length: number): ArrayBuffer
}

/** Written out name by name: V8 keeps an object that is filled in a loop as a dictionary, and each call looks there. */
function callsOf(library: Library) {
  return {
    mmap: library.func(
      'int64_t mmap(int64_t at, int64_t length, int protection, int flags, int fd, int64_t offset)',
    ),
    madvise: library.func('int madvise(int64_t at, int64_t length, int advice)'),
    close: library.func('int close(int fd)'),
    epollCreate: library.func('int epoll_create1(int flags)'),
    epollControl: library.func('int epoll_ctl(int epoll, int operation, int fd, int64_t event)'),
    epollWait: library.func('int epoll_wait(int epoll, int64_t events, int most, int timeout)'),
    eventfd: library.func('int eventfd(unsigned int initial, int flags)'),
    read: library.func('int64_t read(int fd, int64_t to, int64_t length)'),
    write: library.func('int64_t write(int fd, int64_t from, int64_t length)'),
    socket: library.func('int socket(int family, int type, int protocol)'),
    bind: library.func('int bind(int fd, int64_t address, int length)'),
    listen: library.func('int listen(int fd, int backlog)'),
    accept: library.func('int accept4(int fd, int64_t address, int64_t length, int flags)'),
    connect: library.func('int connect(int fd, int64_t address, int length)'),
    getsockname: library.func('int getsockname(int fd, int64_t address, int64_t length)'),
    shutdown: library.func('int shutdown(int fd, int how)'),
    setsockopt: library.func('int setsockopt(int fd, int level, int option, int64_t value, int length)'),
    getsockopt: library.func('int getsockopt(int fd, int level, int option, int64_t value, int64_t length)'),
    recv: library.func('int64_t recv(int fd, int64_t to, int64_t length, int flags)'),
    send: library.func('int64_t send(int fd, int64_t from, int64_t length, int flags)'),
    splice: library.func(
      'int64_t splice(int from, int64_t fromAt, int to, int64_t toAt, int64_t length, unsigned int flags)',
    ),
    pipe: library.func('int pipe2(int64_t pair, int flags)'),
    fcntl: library.func('int fcntl(int fd, int command, int value)'),
    recvmmsg: library.func(
      'int recvmmsg(int fd, int64_t messages, unsigned int count, int flags, int64_t timeout)',
    ),
    sendmmsg: library.func('int sendmmsg(int fd, int64_t messages, unsigned int count, int flags)'),
    sendmsg: library.func('int64_t sendmsg(int fd, int64_t message, int flags)'),
    recvmsg: library.func('int64_t recvmsg(int fd, int64_t message, int flags)'),
    syscall: library.func(
      'int64_t syscall(int64_t number, int64_t first, int64_t second, int64_t third, int64_t fourth, int64_t fifth, int64_t sixth)',
    ),
  }
}

let koffi: Koffi
let c: ReturnType<typeof callsOf>
let scratch: Arena
let addressThere: Uint8Array

/** Bytes of struct epoll_event and where its data begins: packed on x86-64 alone. */
const epollEventByArch: Readonly<Record<string, { words: number; dataWord: number }>> = {
  x64: { words: 3, dataWord: 1 },
  arm64: { words: 4, dataWord: 2 },
}
/** struct epoll_event here: its size, and where the slot and the generation lie. */
export const epollEvent = epollEventByArch[process.arch] ?? { words: 4, dataWord: 2 }

/** Opens the C library. Once a thread. @throws where koffi or a symbol is missing. */
export function loadFfi(): void {
  if (c) return
  if (process.env.NARU_NO_KOFFI) throw new Error('NARU_NO_KOFFI is set')
  if (process.platform !== 'linux' || !(process.arch in epollEventByArch))
    throw new Error(`no layouts for ${process.platform} on ${process.arch}`)
  // Not an import: koffi is optional, and whether it is there is asked without waiting.
  koffi = requireOwn('koffi', import.meta.url) as Koffi
  c = callsOf(koffi.load(null))
  scratch = Arena.allocate(4096)
  addressThere = scratch.bytes.subarray(addressAt, addressAt + sockaddrBytes)
}

/** A failed call is its errno below zero, as the kernel itself says it. */
function orErrno(result: number): number {
  return result < 0 ? -koffi.errno() : result
}

// ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Memory that the kernel may write to: mapped once, never moved, never freed. Pages that are not touched cost nothing. */
export class Arena {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly words: Uint32Array
  readonly size: number
  readonly #at: number

  private constructor(at: number, size: number) {
    const buffer = koffi.view(BigInt(at), size)
    this.#at = at
    this.size = size
    this.bytes = new Uint8Array(buffer)
    this.view = new DataView(buffer)
    this.words = new Uint32Array(buffer, 0, size >> 2)
  }

  /** @throws where the system has no memory left. */
  static allocate(size: number): Arena {
    const [readWrite, privateAnonymous] = [3, 0x22]
    const at = c.mmap(0, size, readWrite, privateAnonymous, -1, 0)
    if (at === -1) throw new Error(`cannot map ${size} bytes: errno ${koffi.errno()}`)
    return new Arena(at, size)
  }

  /** Memory that an open file shares with the kernel. @throws where it does not. */
  static share(file: Descriptor, size: number, offset: number): Arena {
    const [readWrite, sharedPopulated] = [3, 0x8001]
    const at = c.mmap(0, size, readWrite, sharedPopulated, fdOf(file), offset)
    if (at === -1) throw new Error(`cannot share ${size} bytes: errno ${koffi.errno()}`)
    return new Arena(at, size)
  }

  /** Gives the memory behind it back to the system; the arena stays and reads as zeros. */
  static forgetPages(arena: Arena): void {
    c.madvise(arena.#at, arena.size, 4)
  }

  /** Writes the address of `length` bytes of `to` into the eight bytes at `offset`, for the kernel to follow. */
  static point(arena: Arena, offset: number, to: Arena, toOffset: number, length: number): void {
    const at = Arena.at(to, toOffset, length)
    arena.words[offset >> 2] = at
    arena.words[(offset >> 2) + 1] = at / 0x1_0000_0000
  }

  /** The address of `length` bytes from `offset` on, all inside. */
  static at(arena: Arena, offset: number, length: number): number {
    if (!(offset >= 0 && length >= 0 && offset + length <= arena.size))
      throw new RangeError(`${offset}+${length} is outside of ${arena.size} bytes`)
    return arena.#at + offset
  }
}

// ── descriptors ─────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Who holds which descriptor, in shared memory: what a dead thread held can be closed by the one that started it.
 * One byte a descriptor number; 0 is nobody of ours.
 */
let fdOwners: Uint8Array | null = null
let owner = 0

export function keepFdOwners(shared: Uint8Array, as: number): void {
  fdOwners = shared
  owner = as
}

/**
 * Closes, with RST where they are connections, all that `of` held. Only for a thread that is gone: its ring may still
 * read from them, and what is read from is not closed by closing its number. @returns how many.
 */
export function closeAllOf(shared: Uint8Array, of: number): number {
  let count = 0
  for (let fd = shared.indexOf(of); fd !== -1; fd = shared.indexOf(of, fd + 1)) {
    shared[fd] = 0
    setLingerZero(fd)
    disconnect(fd)
    c.close(fd)
    count++
  }
  return count
}

/** One open file of this process. After `close` every call on it answers EBADF, whoever has the number by then. */
export class Descriptor {
  #fd: number
  /** The batch of calls that names it last. */
  #batch = -1

  private constructor(fd: number, ours: boolean) {
    this.#fd = fd
    if (ours && fdOwners && fd < fdOwners.length) fdOwners[fd] = owner
  }

  get closed(): boolean {
    return this.#fd === -1
  }

  /** The number, for handing to another thread or to a log. */
  static number(of: Descriptor): number {
    return of.#fd
  }

  /** Takes over a number that nobody else closes. */
  static adopt(fd: number): Descriptor {
    return new Descriptor(fd, true)
  }

  /** Uses a number that another thread owns, and closes after this one has stopped to. Never close it here. */
  static borrow(fd: number): Descriptor {
    return new Descriptor(fd, false)
  }

  /** The number, for a call that is handed to the kernel later: with the batch that is being written now. */
  static numberInBatch(of: Descriptor): number {
    of.#batch = batch
    return of.#fd
  }

  /** Gives the number away: from now on someone else closes it. What was written for it is handed over before. */
  static release(of: Descriptor): number {
    const fd = of.#fd
    if (of.#batch === batch) submitBatch(fd)
    if (fdOwners && fd >= 0 && fd < fdOwners.length) fdOwners[fd] = 0
    of.#fd = -1
    return fd
  }
}

const fdOf = (descriptor: Descriptor): number => Descriptor.number(descriptor)

/** Which batch of calls is being written (see ring.ts). */
let batch = 0
let submitBatch: (closing: number) => void = () => {}

/** Whoever writes batches says how one is handed over early, as a number that it names is about to close. */
export function keepBatches(submit: (closing: number) => void): void {
  submitBatch = submit
}

export function batchIsSubmitted(): void {
  batch++
}

export function close(descriptor: Descriptor): void {
  const fd = Descriptor.release(descriptor)
  if (fd >= 0) c.close(fd)
}

/** Closes a TCP connection so that its peer sees RST and what is unsent is thrown away. */
export function closeWithReset(descriptor: Descriptor): void {
  if (descriptor.closed) return
  setLingerZero(fdOf(descriptor))
  close(descriptor)
}

function setLingerZero(fd: number): void {
  scratch.words[0] = 1
  scratch.words[1] = 0
  c.setsockopt(fd, 1, 13, Arena.at(scratch, 0, 8), 8)
}

/** Ends a connection whoever else still holds it: TCP by RST (connect(2), AF_UNSPEC), a Unix socket by its end. */
function disconnect(fd: number): void {
  scratch.words.fill(0, 0, 4)
  c.connect(fd, Arena.at(scratch, 0, 16), 16)
  c.shutdown(fd, 2)
}

function opened(fd: number): Descriptor | number {
  return fd < 0 ? -koffi.errno() : Descriptor.adopt(fd)
}

// ── epoll ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** epoll_pwait2(2), the same number on all architectures; libc has it only since glibc 2.35. */
const pwait2 = 441
const epollOperation = { add: 1, remove: 2, modify: 3 } as const

export function createEpoll(): Descriptor | number {
  return opened(c.epollCreate(0x8_0000))
}

/** @returns 0 or an errno below zero. */
export function controlEpoll(
  set: Descriptor,
  operation: keyof typeof epollOperation,
  descriptor: Descriptor,
  mask: number,
  slot: number,
  generation: number,
): number {
  const { words } = scratch
  words[0] = mask >>> 0
  words[epollEvent.dataWord] = slot
  words[epollEvent.dataWord + 1] = generation
  const event = Arena.at(scratch, 0, 16)
  return orErrno(c.epollControl(fdOf(set), epollOperation[operation], fdOf(descriptor), event))
}

/** Waits at most `ms` ms, rounded up to a whole one. @returns how many events were written; below zero where it failed. */
export function waitForEvents(set: Descriptor, events: Arena, ms: number): number {
  return c.epollWait(fdOf(set), Arena.at(events, 0, events.size), mostEventsIn(events), Math.ceil(ms))
}

/** As `waitForEvents`, to the nanosecond (epoll_pwait2(2), since Linux 5.11). */
export function waitForEventsFinely(set: Descriptor, events: Arena, ms: number): number {
  const { words } = scratch
  words.fill(0, 0, 4)
  words[2] = Math.ceil(ms * 1_000_000)
  const [at, limit] = [Arena.at(events, 0, events.size), Arena.at(scratch, 0, 16)]
  return c.syscall(pwait2, fdOf(set), at, mostEventsIn(events), limit, 0, 0)
}

function mostEventsIn(events: Arena): number {
  return Math.floor(events.size / (epollEvent.words * 4))
}

// ── io_uring ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Alike on all architectures, as every call since Linux 5.1. */
const ringCalls = { setup: 425, enter: 426, register: 427 }

/** A ring as io_uring_setup(2) makes it; `parameters` is read and filled. Or an errno below zero. */
export function openRing(entries: number, parameters: Arena): Descriptor | number {
  const at = Arena.at(parameters, 0, 120)
  return opened(c.syscall(ringCalls.setup, entries, at, 0, 0, 0, 0))
}

/** io_uring_enter(2) with 24 bytes of `extra`. @returns how many were handed over, or an errno below zero. */
export function enterRing(
  ring: Descriptor,
  submit: number,
  atLeast: number,
  flags: number,
  extra: Arena,
): number {
  return orErrno(c.syscall(ringCalls.enter, fdOf(ring), submit, atLeast, flags, Arena.at(extra, 0, 24), 24))
}

/** io_uring_register(2) with one argument of `bytes` bytes. @returns 0 or an errno below zero. */
export function registerWithRing(
  ring: Descriptor,
  operation: number,
  argument: Arena,
  bytes: number,
): number {
  const at = Arena.at(argument, 0, bytes)
  return orErrno(c.syscall(ringCalls.register, fdOf(ring), operation, at, 1, 0, 0))
}

/** An eventfd that one thread signals to wake another out of its wait. */
export function openWakeup(): Descriptor {
  const wakeup = opened(c.eventfd(0, sockNonBlockCloseOnExec))
  if (typeof wakeup === 'number') throw new Error(`eventfd: errno ${-wakeup}`)
  return wakeup
}

export function signalWakeup(wakeup: Descriptor): void {
  scratch.words[0] = 1
  scratch.words[1] = 0
  c.write(fdOf(wakeup), Arena.at(scratch, 0, 8), 8)
}

export function clearWakeup(wakeup: Descriptor): void {
  c.read(fdOf(wakeup), Arena.at(scratch, 0, 8), 8)
}

// ── addresses ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Most bytes of a sockaddr we meet: sockaddr_un. sockaddr_in has 16, sockaddr_in6 has 28. */
export const sockaddrBytes = 112
/** Where a peer's address lies in the scratch arena after `accept` and `localAddress`. */
const addressAt = 64
const lengthAt = 56
/** Where struct tcp_info lies in the scratch arena. */
const tcpInfoAt = 256

/** The sockaddr that the last `accept` or `localAddress` of this thread gave. Copy what you keep. */
export function lastAddress(): Uint8Array {
  return addressThere
}

function putAddress(sockaddr: Uint8Array): number {
  if (sockaddr.length > sockaddrBytes) throw new RangeError('sockaddr too long')
  // A loop, which is quicker than `set` for so few bytes.
  for (let i = 0; i < sockaddr.length; i++) addressThere[i] = sockaddr[i] as number
  return Arena.at(scratch, addressAt, sockaddrBytes)
}

// ── sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────

const socketKind = { stream: 1, datagram: 2, packets: 5 } as const

/** A non-blocking socket, or an errno below zero. `packets` is a stream that keeps messages apart (Unix sockets). */
export function openSocket(family: number, kind: keyof typeof socketKind, protocol = 0): Descriptor | number {
  return opened(c.socket(family, socketKind[kind] | sockNonBlockCloseOnExec, protocol))
}

export function bind(socket: Descriptor, sockaddr: Uint8Array): number {
  return orErrno(c.bind(fdOf(socket), putAddress(sockaddr), sockaddr.length))
}

export function listen(socket: Descriptor, backlog: number): number {
  return orErrno(c.listen(fdOf(socket), backlog))
}

/** The next connection, its peer in `lastAddress()`; or an errno below zero. */
export function accept(listener: Descriptor): Descriptor | number {
  scratch.words[lengthAt >> 2] = sockaddrBytes
  scratch.words[addressAt >> 2] = 0
  const address = Arena.at(scratch, addressAt, sockaddrBytes)
  return opened(c.accept(fdOf(listener), address, Arena.at(scratch, lengthAt, 4), sockNonBlockCloseOnExec))
}

export function connect(socket: Descriptor, sockaddr: Uint8Array): number {
  return orErrno(c.connect(fdOf(socket), putAddress(sockaddr), sockaddr.length))
}

/** Puts the socket's own address into `lastAddress()`. */
export function localAddress(socket: Descriptor): number {
  scratch.words[lengthAt >> 2] = sockaddrBytes
  const address = Arena.at(scratch, addressAt, sockaddrBytes)
  return orErrno(c.getsockname(fdOf(socket), address, Arena.at(scratch, lengthAt, 4)))
}

/** What listened is bound as before, and nobody is accepted (inet_shutdown in the kernel). */
export function stopListening(socket: Descriptor): number {
  return orErrno(c.shutdown(fdOf(socket), 0))
}

const [attachFilter, detachFilter] = [26, 27]

/** Whether everything that arrives is thrown away before it is queued (socket(7), SO_ATTACH_FILTER: `ret #0`). */
export function dropArrivals(socket: Descriptor, drop: boolean): number {
  const { words } = scratch
  words.fill(0, 0, 6)
  if (!drop) return orErrno(c.setsockopt(fdOf(socket), 1, detachFilter, Arena.at(scratch, 0, 4), 4))
  // struct sock_fprog at 0: one instruction, whose struct sock_filter is at 16: BPF_RET | BPF_K.
  words[0] = 1
  Arena.point(scratch, 8, scratch, 16, 8)
  words[4] = 6
  return orErrno(c.setsockopt(fdOf(socket), 1, attachFilter, Arena.at(scratch, 0, 16), 16))
}

/** Sends FIN: this side says no more. */
export function shutdownWrite(socket: Descriptor): number {
  return orErrno(c.shutdown(fdOf(socket), 1))
}

const options = {
  reuseAddress: [1, 2],
  broadcast: [1, 6],
  keepalive: [1, 9],
  urgentInline: [1, 10],
  sendBuffer: [1, 7],
  receiveBuffer: [1, 8],
  reusePort: [1, 15],
  /** Tells the mark of what is received, since Linux 5.19. */
  receiveMark: [1, 75],
  noDelay: [6, 1],
  keepaliveIdleSeconds: [6, 4],
  keepaliveIntervalSeconds: [6, 5],
  keepaliveCount: [6, 6],
  v6Only: [41, 26],
  packetInfo4: [0, 8],
  packetInfo6: [41, 49],
  freeBind4: [0, 15],
  groReceive: [17, 104],
  transparent4: [0, 19],
  transparent6: [41, 75],
  /** IP_BIND_ADDRESS_NO_PORT, for both families. */
  portLater: [0, 24],
} as const satisfies Record<string, readonly [number, number]>
export type SocketOption = keyof typeof options

export function setOption(socket: Descriptor, option: SocketOption, value: number): number {
  const [level, name] = options[option]
  scratch.words[0] = value
  return orErrno(c.setsockopt(fdOf(socket), level, name, Arena.at(scratch, 0, 4), 4))
}

/** Probes start after `ms` ms of silence, then one a second, ten at most, as Node's own sockets do; 0 is never. */
export function setKeepalive(socket: Descriptor, ms: number): void {
  setOption(socket, 'keepalive', ms > 0 ? 1 : 0)
  if (ms === 0) return
  setOption(socket, 'keepaliveIdleSeconds', Math.max(1, Math.round(ms / 1000)))
  setOption(socket, 'keepaliveIntervalSeconds', 1)
  setOption(socket, 'keepaliveCount', 10)
}

/** Null where none wait for the peer, and of a socket that is no TCP. */
export function outstanding(socket: Descriptor): Outstanding | null {
  scratch.words[0] = tcpInfoBytes
  const info = Arena.at(scratch, tcpInfoAt, tcpInfoBytes)
  scratch.bytes.fill(0, tcpInfoAt, tcpInfoAt + tcpInfoBytes)
  if (c.getsockopt(fdOf(socket), 6, 11, info, Arena.at(scratch, 0, 4)) < 0) return null
  return readTcpInfo(scratch.bytes, tcpInfoAt)
}

/** Takes the error that waits on the socket (SO_ERROR): an errno above zero, or 0. */
export function takeError(socket: Descriptor): number {
  scratch.words[0] = 0
  scratch.words[2] = 4
  c.getsockopt(fdOf(socket), 1, 4, Arena.at(scratch, 0, 4), Arena.at(scratch, 8, 4))
  return scratch.words[0]
}

/** Whose process is at the other end of a Unix socket: a user id, or an errno below zero. */
export const userAtPeer = (socket: Descriptor): number => ofPeer(socket, 1)

/** That process, as it is counted here, 0 where it is not; or an errno below zero. */
export const processAtPeer = (socket: Descriptor): number => ofPeer(socket, 0)

/** unix(7), SO_PEERCRED. @param word of struct ucred: pid, uid, gid */
function ofPeer(socket: Descriptor, word: 0 | 1): number {
  scratch.words[4] = 12
  const result = orErrno(
    c.getsockopt(fdOf(socket), 1, 17, Arena.at(scratch, 0, 12), Arena.at(scratch, 16, 4)),
  )
  return result < 0 ? result : (scratch.words[word] as number)
}

/** @returns bytes, 0 at the end of the stream, or an errno below zero. */
export function receive(socket: Descriptor, into: Arena, offset: number, length: number): number {
  return orErrno(c.recv(fdOf(socket), Arena.at(into, offset, length), length, 0))
}

/** Bytes that stay in the socket: what `receive` will give again. */
export function peek(socket: Descriptor, into: Arena, offset: number, length: number): number {
  return orErrno(c.recv(fdOf(socket), Arena.at(into, offset, length), length, 2))
}

/** @param follows more (or FIN) does at once, and may share a segment with it. */
export function send(
  socket: Descriptor,
  from: Arena,
  offset: number,
  length: number,
  follows: 'more' | null = null,
): number {
  const flags = follows === 'more' ? msgNoSignal | msgMore : msgNoSignal
  return orErrno(c.send(fdOf(socket), Arena.at(from, offset, length), length, flags))
}

// ── pipes ───────────────────────────────────────────────────────────────────────────────────────────────────────

export interface PipeEnds {
  readonly read: Descriptor
  readonly write: Descriptor
}

/** A non-blocking pipe, or an errno below zero. */
export function openPipe(): PipeEnds | number {
  if (c.pipe(Arena.at(scratch, 0, 8), sockNonBlockCloseOnExec) < 0) return -koffi.errno()
  const [read, write] = [scratch.words[0] as number, scratch.words[1] as number]
  return { read: Descriptor.adopt(read), write: Descriptor.adopt(write) }
}

/** @returns the size it has now, or an errno below zero (EPERM past `pipe-user-pages-soft`). */
export function resizePipe(pipe: PipeEnds, bytes: number): number {
  return orErrno(c.fcntl(fdOf(pipe.write), 1031, bytes))
}

/** @returns bytes, or an errno below zero. */
export function write(to: Descriptor, from: Arena, offset: number, length: number): number {
  return orErrno(c.write(fdOf(to), Arena.at(from, offset, length), length))
}

/** Moves pages without copying. One of both is a pipe. @returns bytes, 0 at the end, or an errno below zero. */
export function splice(from: Descriptor, to: Descriptor, length: number): number {
  const [move, nonBlock] = [1, 2]
  return orErrno(c.splice(fdOf(from), 0, fdOf(to), 0, length, move | nonBlock))
}

// ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Bytes of struct mmsghdr, of struct msghdr within it, alike on x86-64 and arm64 (LP64). */
const [manyBytes, oneBytes] = [64, 56]

/** recvmmsg(2) into `count` headers from `offset` on. @returns how many came, or an errno below zero. */
export function receiveMany(socket: Descriptor, headers: Arena, offset: number, count: number): number {
  const at = Arena.at(headers, offset, count * manyBytes)
  return orErrno(c.recvmmsg(fdOf(socket), at, count, msgDontWait, 0))
}

/** sendmmsg(2). @returns how many went, or an errno below zero where the first did not. */
export function sendMany(socket: Descriptor, headers: Arena, offset: number, count: number): number {
  const at = Arena.at(headers, offset, count * manyBytes)
  return orErrno(c.sendmmsg(fdOf(socket), at, count, msgNoSignal | msgDontWait))
}

/** Descriptors that come with it are closed by exec. @returns bytes, or an errno below zero. */
export function receiveMessage(socket: Descriptor, header: Arena): number {
  const closeOnExec = 0x4000_0000
  return orErrno(c.recvmsg(fdOf(socket), Arena.at(header, 0, oneBytes), msgDontWait | closeOnExec))
}

export function sendMessage(socket: Descriptor, header: Arena): number {
  return orErrno(c.sendmsg(fdOf(socket), Arena.at(header, 0, oneBytes), msgNoSignal | msgDontWait))
}

// ── eBPF ────────────────────────────────────────────────────────────────────────────────────────────────────────

const bpfCallByArch: Readonly<Record<string, number>> = { x64: 321, arm64: 280 }

/** bpf(2) with `bytes` of `attributes`. @returns what it answers, or an errno below zero. */
export function bpf(command: number, attributes: Arena, bytes: number): number {
  const call = bpfCallByArch[process.arch] as number
  return orErrno(c.syscall(call, command, Arena.at(attributes, 0, bytes), bytes, 0, 0, 0))
}

/** As `bpf`, where the answer is a new descriptor. */
export function openBpf(command: number, attributes: Arena, bytes: number): Descriptor | number {
  const fd = bpf(command, attributes, bytes)
  return fd < 0 ? fd : Descriptor.adopt(fd)
}

// ── mounts ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** fsopen(2), fsconfig(2) and fsmount(2), since Linux 5.2; alike on all architectures. */
const mountCalls = { open: 430, configure: 431, mount: 432 }

/** A file system that is mounted nowhere but under this descriptor; or an errno below zero (EPERM without CAP_SYS_ADMIN). */
export function mountApart(filesystem: string): Descriptor | number {
  scratch.bytes.set(Buffer.from(`${filesystem}\0`), 512)
  const name = Arena.at(scratch, 512, filesystem.length + 1)
  const [closeOnExec, create] = [1, 6]
  const made = opened(c.syscall(mountCalls.open, name, closeOnExec, 0, 0, 0, 0))
  if (typeof made === 'number') return made
  const result = orErrno(c.syscall(mountCalls.configure, fdOf(made), create, 0, 0, 0, 0))
  const mount = result < 0 ? result : opened(c.syscall(mountCalls.mount, fdOf(made), closeOnExec, 0, 0, 0, 0))
  close(made)
  return mount
}
