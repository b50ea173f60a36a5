/**
 * Every call into the kernel, and nothing else: koffi's untyped pointers and raw descriptor numbers stay in this
 * file. Above it a descriptor is a `Descriptor` (closed for good once closed) and memory is an `Arena` (bounds
 * checked), so that neither a wrong size nor a reused number can be reached.
 */
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { say, type Text } from '../../base/text.ts'

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
/** Not in Node's table. */

export const epollIn = 0x1
/** Urgent data. */
export const epollPriority = 0x2
export const epollOut = 0x4
export const epollError = 0x8
export const epollHangUp = 0x10
export const epollReadHangUp = 0x2000
/** One waiter is woken, not all of them (since Linux 4.5). */
export const epollExclusive = 1 << 28
export const epollEdge = 1 << 31

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
const epollEvent = epollEventByArch[process.arch] ?? { words: 4, dataWord: 2 }

/** Opens the C library. Once a thread. @throws where koffi or a symbol is missing. */
export function loadFfi(): void {
  if (c) return
  if (process.env.NARU_NO_KOFFI) throw new Error('NARU_NO_KOFFI is set')
  if (process.platform !== 'linux' || !(process.arch in epollEventByArch))
    throw new Error(`no layouts for ${process.platform} on ${process.arch}`)
  // Not an import: koffi is optional, and whether it is there is asked without waiting.
  koffi = createRequire(import.meta.url)('koffi') as Koffi
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
let ledger: Uint8Array | null = null
let owner = 0

export function keepLedger(shared: Uint8Array, as: number): void {
  ledger = shared
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
    if (ours && ledger && fd < ledger.length) ledger[fd] = owner
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
    if (ledger && fd >= 0 && fd < ledger.length) ledger[fd] = 0
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

/** A set of descriptors to wait on; each carries a slot and a generation that come back with its events. */
export class Epoll {
  readonly #set: Descriptor
  readonly #events: Arena
  readonly #most: number
  /** Waits of less than a millisecond are kept to (epoll_pwait2(2), since Linux 5.11); otherwise they are a whole one. */
  readonly waitsFinely: boolean

  constructor(most: number) {
    const set = opened(c.epollCreate(0x8_0000))
    if (typeof set === 'number') throw new Error(`epoll_create1: errno ${-set}`)
    this.#set = set
    this.#most = most
    this.#events = Arena.allocate(most * epollEvent.words * 4)
    this.waitsFinely = this.#waitFinely(0) >= 0
  }

  /** @returns 0 or an errno below zero. */
  add(descriptor: Descriptor, mask: number, slot: number, generation: number): number {
    return this.#control(1, descriptor, mask, slot, generation)
  }

  modify(descriptor: Descriptor, mask: number, slot: number, generation: number): number {
    return this.#control(3, descriptor, mask, slot, generation)
  }

  remove(descriptor: Descriptor): number {
    return this.#control(2, descriptor, 0, 0, 0)
  }

  #control(
    operation: number,
    descriptor: Descriptor,
    mask: number,
    slot: number,
    generation: number,
  ): number {
    const { words } = scratch
    words[0] = mask >>> 0
    words[epollEvent.dataWord] = slot
    words[epollEvent.dataWord + 1] = generation
    return orErrno(c.epollControl(fdOf(this.#set), operation, fdOf(descriptor), Arena.at(scratch, 0, 16)))
  }

  /** Waits at most `timeoutMs` ms. @returns how many events there are; 0 also after a signal. */
  wait(timeoutMs: number): number {
    const count =
      timeoutMs > 0 && timeoutMs < 1 && this.waitsFinely
        ? this.#waitFinely(timeoutMs)
        : c.epollWait(fdOf(this.#set), this.#eventsAt, this.#most, Math.ceil(timeoutMs))
    return count < 0 ? 0 : count
  }

  #waitFinely(timeoutMs: number): number {
    const { words } = scratch
    words.fill(0, 0, 4)
    words[2] = Math.ceil(timeoutMs * 1_000_000)
    const limit = Arena.at(scratch, 0, 16)
    return c.syscall(pwait2, fdOf(this.#set), this.#eventsAt, this.#most, limit, 0, 0)
  }

  get #eventsAt(): number {
    return Arena.at(this.#events, 0, this.#events.size)
  }

  mask(event: number): number {
    return this.#events.words[event * epollEvent.words] as number
  }
  slot(event: number): number {
    return this.#events.words[event * epollEvent.words + epollEvent.dataWord] as number
  }
  generation(event: number): number {
    return this.#events.words[event * epollEvent.words + epollEvent.dataWord + 1] as number
  }

  /** What a ring may wait for: readable where there are events. */
  get readiness(): Descriptor {
    return this.#set
  }

  close(): void {
    close(this.#set)
  }
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

/** A bell that one thread rings to wake another out of its wait. */
export function openBell(): Descriptor {
  const bell = opened(c.eventfd(0, sockNonBlockCloseOnExec))
  if (typeof bell === 'number') throw new Error(`eventfd: errno ${-bell}`)
  return bell
}

export function ringBell(bell: Descriptor): void {
  scratch.words[0] = 1
  scratch.words[1] = 0
  c.write(fdOf(bell), Arena.at(scratch, 0, 8), 8)
}

export function silenceBell(bell: Descriptor): void {
  c.read(fdOf(bell), Arena.at(scratch, 0, 8), 8)
}

// ── addresses ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Most bytes of a sockaddr we meet: sockaddr_un. sockaddr_in has 16, sockaddr_in6 has 28. */
export const sockaddrBytes = 112
/** Where a peer's address lies in the scratch arena after `accept` and `localAddress`. */
const addressAt = 64
const lengthAt = 56

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
export function openSocket(family: number, kind: keyof typeof socketKind): Descriptor | number {
  return opened(c.socket(family, socketKind[kind] | sockNonBlockCloseOnExec, 0))
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

/** Sends FIN: this side says no more. */
export function shutdownWrite(socket: Descriptor): number {
  return orErrno(c.shutdown(fdOf(socket), 1))
}

const options = {
  reuseAddress: [1, 2],
  keepalive: [1, 9],
  urgentInline: [1, 10],
  sendBuffer: [1, 7],
  receiveBuffer: [1, 8],
  reusePort: [1, 15],
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

/** Takes the error that waits on the socket (SO_ERROR): an errno above zero, or 0. */
export function takeError(socket: Descriptor): number {
  scratch.words[0] = 0
  scratch.words[2] = 4
  c.getsockopt(fdOf(socket), 1, 4, Arena.at(scratch, 0, 4), Arena.at(scratch, 8, 4))
  return scratch.words[0]
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

/** Moves pages without copying. One of both is a pipe. @returns bytes, 0 at the end, or an errno below zero. */
export function splice(from: Descriptor, to: Descriptor, length: number): number {
  const [move, nonBlock] = [1, 2]
  return orErrno(c.splice(fdOf(from), 0, fdOf(to), 0, length, move | nonBlock))
}

// ── datagrams ───────────────────────────────────────────────────────────────────────────────────────────────────

/** struct msghdr 56 bytes, mmsghdr 64, iovec 16, cmsghdr 16: alike on x86-64 and arm64 (LP64). */
const header = {
  bytes: 64,
  nameLength: 2,
  vector: 4,
  vectorCount: 6,
  control: 8,
  controlLength: 10,
  length: 14,
}
const nameBytes = 32
const controlBytes = 128

/**
 * Up to `count` datagrams with their peers and control messages, laid out for recvmmsg and sendmmsg. The largest
 * datagram is 65,535 bytes; a slot is a bit more, so that slots do not fall on the same cache lines.
 */
export class Datagrams {
  readonly count: number
  readonly arena: Arena
  readonly #names: number
  readonly #controls: number
  readonly #data: number
  /** Some slot's vector was pointed into its middle; such a batch is rare, so all are set right from then on. */
  #moved = false
  /** Some message was made of another slot than its own. */
  #composed = false

  /** Most bytes in a slot. */
  static readonly slotBytes = 65_536
  static readonly #stride = 65_536 + 320

  constructor(count: number) {
    this.count = count
    const vectors = count * header.bytes
    this.#names = vectors + count * 16
    this.#controls = this.#names + count * nameBytes
    this.#data = this.#controls + count * controlBytes
    this.arena = Arena.allocate(this.#data + count * Datagrams.#stride)
    for (let i = 0; i < count; i++) {
      this.#pointer(i * header.bytes, this.#names + i * nameBytes)
      this.#pointer(i * header.bytes + header.vector * 4, vectors + i * 16)
      this.arena.words[i * 16 + header.vectorCount] = 1
      this.#pointer(i * header.bytes + header.control * 4, this.#controls + i * controlBytes)
      this.#pointer(vectors + i * 16, this.dataAt(i))
    }
  }

  #pointer(offset: number, to: number): void {
    this.arena.view.setBigUint64(offset, BigInt(Arena.at(this.arena, to, 1)), true)
  }

  dataAt(i: number): number {
    return this.#data + i * Datagrams.#stride
  }
  /** Offset of the i-th sockaddr in the arena. */
  nameAt(i: number): number {
    return this.#names + i * nameBytes
  }
  /** Bytes that came in (after `receive`). */
  length(i: number): number {
    return this.arena.words[i * 16 + header.length] as number
  }

  /** Fills slots from `first` on. @returns how many, or an errno below zero. */
  receive(socket: Descriptor, first: number, most: number, withPeer: boolean): number {
    const { words } = this.arena
    for (let i = first; i < first + most; i++) {
      if (this.#composed) this.#vector(i, i, 1)
      if (this.#moved) this.#pointer(this.count * header.bytes + i * 16, this.dataAt(i))
      words[i * 16 + header.nameLength] = withPeer ? nameBytes - 4 : 0
      words[i * 16 + header.controlLength] = controlBytes
      this.#setBytes(i, Datagrams.slotBytes)
    }
    const at = Arena.at(this.arena, first * header.bytes, most * header.bytes)
    return orErrno(c.recvmmsg(fdOf(socket), at, most, msgDontWait, 0))
  }

  #setBytes(slot: number, bytes: number): void {
    this.arena.words[(this.count * header.bytes + slot * 16 + 8) >> 2] = bytes
  }

  /** The i-th message is made of `slots` slots from `slot` on. */
  #vector(i: number, slot: number, slots: number): void {
    const { words } = this.arena
    const at = Arena.at(this.arena, this.count * header.bytes + slot * 16, slots * 16)
    words[i * 16 + header.vector] = at
    words[i * 16 + header.vector + 1] = at / 0x1_0000_0000
    words[i * 16 + header.vectorCount] = slots
  }

  /**
   * The i-th message holds `slots` slots from `slot` on as they came in; `sockaddr` (16 or 28 bytes) is where it
   * goes, null the connected peer. More than one slot needs `segment`. A message at or before its slot is safe.
   */
  compose(i: number, slot: number, slots: number, sockaddr: Uint8Array | null): void {
    const { words } = this.arena
    for (let at = slot; at < slot + slots; at++) this.#setBytes(at, this.length(at))
    if (this.#composed || i !== slot || slots !== 1) {
      this.#composed = true
      this.#vector(i, slot, slots)
    }
    if (sockaddr) this.arena.bytes.set(sockaddr, this.nameAt(i))
    words[i * 16 + header.nameLength] = sockaddr ? sockaddr.length : 0
    words[i * 16 + header.controlLength] = 0
  }

  /** The i-th message is a part of one slot. */
  composePart(i: number, slot: number, from: number, bytes: number, sockaddr: Uint8Array): void {
    this.compose(i, slot, 1, sockaddr)
    this.#pointer(this.count * header.bytes + slot * 16, this.dataAt(slot) + from)
    this.#setBytes(slot, bytes)
    this.#moved = true
  }

  /** Adds a control message to the i-th datagram; its data is written at the offset this returns. */
  #addControl(i: number, level: number, type: number, bytes: number): number {
    const { words } = this.arena
    const used = words[i * 16 + header.controlLength] as number
    const at = this.#controls + i * controlBytes + used
    words[at >> 2] = 16 + bytes
    words[(at >> 2) + 1] = 0
    words[(at >> 2) + 2] = level
    words[(at >> 2) + 3] = type
    words[i * 16 + header.controlLength] = used + 16 + ((bytes + 7) & ~7)
    return at + 16
  }

  /** The i-th datagram leaves from `address`: 4 or 16 network-order bytes, 16 for a dual-stack socket. */
  from(i: number, address: Uint8Array): void {
    if (address.length === 4) {
      const at = this.#addControl(i, 0, 8, 12)
      this.arena.words[at >> 2] = 0
      this.arena.bytes.set(address, at + 4)
      this.arena.words[(at >> 2) + 2] = 0
    } else {
      const at = this.#addControl(i, 41, 50, 20)
      this.arena.bytes.set(address, at)
      this.arena.words[(at >> 2) + 4] = 0
    }
  }

  /** The kernel cuts the i-th slot into datagrams of `bytes` (UDP_SEGMENT, since Linux 4.18). */
  segment(i: number, bytes: number): void {
    const at = this.#addControl(i, 17, 103, 2)
    this.arena.view.setUint16(at, bytes, true)
  }

  /** Sends slots from `first` on. @returns how many went, or an errno below zero where the first did not. */
  send(socket: Descriptor, first: number, count: number): number {
    const at = Arena.at(this.arena, first * header.bytes, count * header.bytes)
    return orErrno(c.sendmmsg(fdOf(socket), at, count, msgNoSignal | msgDontWait))
  }

  /** Sends the i-th slot, or a part of it, to the connected peer. Cheaper than sendmmsg for one. */
  sendOne(socket: Descriptor, i: number, from: number, bytes: number): number {
    const at = Arena.at(this.arena, this.dataAt(i) + from, bytes)
    return orErrno(c.send(fdOf(socket), at, bytes, msgNoSignal | msgDontWait))
  }

  /** Where in the arena the local address lies that the i-th datagram came to; 0 where it is not told. */
  destinationAt(i: number): number {
    const at = this.#findControl(i, 0, 8)
    if (at > 0) return at + 4
    return this.#findControl(i, 41, 50)
  }

  /** Size of the datagrams that came in together in the i-th slot; 0 where it is one (UDP_GRO). */
  segmentBytes(i: number): number {
    const at = this.#findControl(i, 17, 104)
    return at > 0 ? this.arena.view.getUint16(at, true) : 0
  }

  /** Offset of a control message's data, or 0. */
  #findControl(i: number, level: number, type: number): number {
    const { words } = this.arena
    const start = this.#controls + i * controlBytes
    const end = start + Math.min(words[i * 16 + header.controlLength] as number, controlBytes)
    for (let at = start; at + 16 <= end;) {
      const bytes = words[at >> 2] as number
      if (bytes < 16) return 0
      if (words[(at >> 2) + 2] === level && words[(at >> 2) + 3] === type) return at + 16
      at += (bytes + 7) & ~7
    }
    return 0
  }
}

// ── descriptors that pass from one process to another ────────────────────────────────────────────────────────────

/** Most descriptors in one message; the kernel takes 253 (SCM_MAX_FD). */
export const mostRights = 200
const noneLeft = 0
const rights = { vector: 64, data: 80, control: 128, controlBytes: 16 + mostRights * 4 }
const [levelSocket, scmRights] = [1, 1]
const controlCut = 0x8
let rightsArena: Arena | null = null

/** One byte of data, as Linux sends no rights without any (unix(7)), and room for the control message. */
function rightsMessage(controlLength: number): Arena {
  rightsArena ??= Arena.allocate(4096)
  const arena = rightsArena
  arena.bytes.fill(0, 0, rights.control)
  const pointer = (offset: number, to: number, length: number): void =>
    arena.view.setBigUint64(offset, BigInt(Arena.at(arena, to, length)), true)
  pointer(header.vector * 4, rights.vector, 16)
  arena.words[header.vectorCount] = 1
  pointer(rights.vector, rights.data, 1)
  arena.words[(rights.vector >> 2) + 2] = 1
  pointer(header.control * 4, rights.control, rights.controlBytes)
  arena.words[header.controlLength] = controlLength
  return arena
}

/**
 * Gives the other end of a Unix socket copies of these descriptors (SCM_RIGHTS); ours stay ours. A closed one is
 * refused here, so that whoever has its number by now is never given away.
 * @returns 0 or an errno below zero
 */
export function sendDescriptors(socket: Descriptor, descriptors: readonly Descriptor[]): number {
  if (descriptors.length === 0 || descriptors.length > mostRights || descriptors.some(({ closed }) => closed))
    return -EINVAL
  const length = 16 + descriptors.length * 4
  const { words } = rightsMessage(length)
  const at = rights.control >> 2
  words.set([length, 0, levelSocket, scmRights, ...descriptors.map(fdOf)], at)
  const sent = c.sendmsg(fdOf(socket), Arena.at(rightsArena as Arena, 0, 56), msgNoSignal | msgDontWait)
  return sent < 0 ? -koffi.errno() : 0
}

/** Descriptors of one message, ours from now on; none at the end of the stream; or an errno below zero. */
export function receiveDescriptors(socket: Descriptor): readonly Descriptor[] | number {
  const arena = rightsMessage(rights.controlBytes)
  const closeOnExec = 0x4000_0000
  const received = c.recvmsg(fdOf(socket), Arena.at(arena, 0, 56), msgDontWait | closeOnExec)
  if (received < 0) return -koffi.errno()
  if (received === noneLeft) return []
  const at = rights.control >> 2
  const [bytes = 0, , level, type] = arena.words.subarray(at, at + 4)
  const there = (arena.words[header.controlLength] as number) >= 16
  const ours = there && level === levelSocket && type === scmRights && bytes <= rights.controlBytes
  const numbers = ours ? [...arena.words.subarray(at + 4, at + (bytes >> 2))] : []
  const got = numbers.map((fd) => Descriptor.adopt(fd))
  if (got.length > 0 && !((arena.words[12] as number) & controlCut)) return got
  for (const descriptor of got) close(descriptor)
  return -EPROTO
}

// ── may we? ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Tries, for real, what the engine lives on. @returns null, or why it does not work here. */
export function whyFfiCannot(): Text | null {
  try {
    loadFfi()
  } catch (thrown) {
    const why = thrown instanceof Error ? (thrown.message.split('\n')[0] as string) : String(thrown)
    return say(`koffi cannot be used: ${why}`, `koffi를 쓸 수 없습니다: ${why}`)
  }
  const failed = failedProbe()
  if (failed === null) return null
  return say(`the kernel denies ${failed}`, `커널이 ${failed} 호출을 막고 있습니다`)
}

/** Moves one byte through an eventfd, epoll, a pipe and splice. @returns the call that failed, or null. */
function failedProbe(): string | null {
  let bell: Descriptor | null = null
  let epoll: Epoll | null = null
  const pipes: PipeEnds[] = []
  try {
    bell = openBell()
    epoll = new Epoll(1)
    ringBell(bell)
    if (epoll.add(bell, epollIn, 7, 9) !== 0) return 'epoll_ctl'
    if (epoll.wait(0) !== 1 || epoll.slot(0) !== 7 || epoll.generation(0) !== 9) return 'epoll_wait'
    for (let i = 0; i < 2; i++) {
      const pipe = openPipe()
      if (typeof pipe === 'number') return 'pipe2'
      pipes.push(pipe)
    }
    const [from, to] = pipes as [PipeEnds, PipeEnds]
    if (c.write(fdOf(from.write), Arena.at(scratch, 0, 1), 1) !== 1) return 'write'
    return splice(from.read, to.write, 1) === 1 ? null : 'splice'
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : 'epoll'
  } finally {
    for (const pipe of pipes) {
      close(pipe.read)
      close(pipe.write)
    }
    epoll?.close()
    if (bell) close(bell)
  }
}
