/**
 * io_uring, as far as it helps with small messages: the kernel goes on receiving from a socket into buffers of ours,
 * and takes what is to be sent many at a time, so that a turn of the loop costs one call whatever it moves
 * (io_uring(7), io_uring_enter(2), io_uring_multishot(7)). Like ffi.ts it keeps numbers and addresses to itself.
 */
import { epollIn } from './epoll.ts'
import {
  Arena,
  batchIsSubmitted,
  close,
  Descriptor,
  enterRing,
  keepBatches,
  openRing,
  registerWithRing,
} from './libc.ts'

/** Calls that may be written before they have to be handed over. */
const entries = 1024
/** A message that fills one is no small one. */
export const ringBufferBytes = 16_384
/** They take up what messages have filled: a page each where those are small. */
const buffers = 512
/** Slots beyond are not for the ring: there is no room for more in what a completion brings back. */
const mostSlots = 1 << 20

/** struct io_uring_params: where its fields begin, in words. */
const parameter = {
  cqEntries: 1,
  flags: 2,
  features: 5,
  sqTail: 11,
  sqMask: 12,
  sqArray: 16,
  cqHead: 20,
  cqTail: 21,
  cqMask: 22,
  cqCompletions: 25,
}
const setupFlags = {
  completionEntries: 1 << 3,
  submitAll: 1 << 7,
  singleIssuer: 1 << 12,
  /** Completions are made when we wait for them, on our own time (since Linux 6.1). */
  deferTaskRun: 1 << 13,
}
const features = { oneMapping: 1, noDrop: 1 << 1, timeoutArgument: 1 << 8, noIoWait: 1 << 17 }
const enterFlags = { getEvents: 1, extraArgument: 1 << 3, noIoWait: 1 << 7 }
const operation = { poll: 6, cancel: 14, send: 26, receive: 27 }
const requestWords = 16
const requestFlag = { selectBuffer: 1 << 5 }
const multishot = 1 << 1
const completionFlag = { more: 2 }
const sharedMemory = { rings: 0, requests: 0x1000_0000 }
const registerBuffers = 22
const msgFlags = { dontWait: 0x40, noSignal: 0x4000 }

/** What a completion is of. */
export const ringKind = { received: 0, sent: 1, epoll: 2, cancelled: 3 } as const

export class Ring {
  readonly #ring: Descriptor
  readonly #rings: Arena
  readonly #requests: Uint32Array
  readonly #results: Int32Array
  readonly #sq: { readonly tail: number; readonly mask: number }
  readonly #cq: {
    readonly head: number
    readonly tail: number
    readonly mask: number
    readonly first: number
  }
  readonly #data = Arena.allocate(buffers * ringBufferBytes)
  readonly #offered = Arena.allocate(buffers * 16)
  readonly #offeredHalves: Uint16Array
  #offeredTail = 0
  /** struct io_uring_getevents_arg and the time that it points to. */
  readonly #limit = Arena.allocate(64)
  readonly #waitFlags: number
  /** Requests that the kernel has not taken yet, and where the last lies. */
  #written = 0
  #last = 0

  /** @throws where the kernel has none, or does not let us. */
  constructor() {
    const parameters = Arena.allocate(4096)
    const { words } = parameters
    words[parameter.cqEntries] = entries * 4
    words[parameter.flags] =
      setupFlags.completionEntries | setupFlags.submitAll | setupFlags.singleIssuer | setupFlags.deferTaskRun
    const ring = openRing(entries, parameters)
    if (typeof ring === 'number') throw new Error(`io_uring_setup: errno ${-ring}`)
    this.#ring = ring
    try {
      const has = words[parameter.features] as number
      const needed = features.oneMapping | features.noDrop | features.timeoutArgument
      if ((has & needed) !== needed) throw new Error('io_uring of this kernel is too old')
      this.#waitFlags =
        enterFlags.getEvents | enterFlags.extraArgument | (has & features.noIoWait ? enterFlags.noIoWait : 0)
      const at = (name: keyof typeof parameter): number => (words[parameter[name]] as number) >> 2
      const size = (words[parameter.cqCompletions] as number) + entries * 4 * 16
      const arraySize = (words[parameter.sqArray] as number) + entries * 4
      this.#rings = Arena.share(ring, Math.max(size, arraySize), sharedMemory.rings)
      const inRings = (where: number): number => this.#rings.words[where] as number
      this.#sq = { tail: at('sqTail'), mask: inRings(at('sqMask')) }
      const [head, tail] = [at('cqHead'), at('cqTail')]
      this.#cq = { head, tail, mask: inRings(at('cqMask')), first: at('cqCompletions') }
      for (let i = 0; i < entries; i++) this.#rings.words[at('sqArray') + i] = i
      this.#requests = Arena.share(ring, entries * requestWords * 4, sharedMemory.requests).words
      this.#results = new Int32Array(this.#rings.bytes.buffer, 0, this.#rings.words.length)
      this.#offeredHalves = new Uint16Array(this.#offered.bytes.buffer)
      this.#offerBuffers(parameters)
    } catch (thrown) {
      close(ring)
      throw thrown
    }
    Arena.point(this.#limit, 16, this.#limit, 32, 16)
    keepBatches((closing) => this.#submitBefore(closing))
  }

  /** struct io_uring_buf_reg; see io_uring_register(2). @throws where the kernel refuses. */
  #offerBuffers(argument: Arena): void {
    argument.bytes.fill(0, 0, 40)
    const length = buffers * 16
    Arena.point(argument, 0, this.#offered, 0, length)
    argument.words[2] = buffers
    const error = registerWithRing(this.#ring, registerBuffers, argument, 40)
    if (error < 0) throw new Error(`io_uring_register: errno ${-error}`)
    for (let buffer = 0; buffer < buffers; buffer++) this.giveBack(buffer)
  }

  /** The kernel may fill it again. */
  giveBack(buffer: number): void {
    const at = this.#offeredTail & (buffers - 1)
    const { words } = this.#offered
    Arena.point(this.#offered, at * 16, this.#data, buffer * ringBufferBytes, ringBufferBytes)
    words[at * 4 + 2] = ringBufferBytes
    this.#offeredHalves[at * 8 + 6] = buffer
    this.#offeredTail = (this.#offeredTail + 1) & 0xffff
    // The tail lies where the first entry has room to spare.
    this.#offeredHalves[7] = this.#offeredTail
  }

  /** The first `length` bytes of a buffer; read them before it is given back. */
  bytes(buffer: number, from: number, length: number): Uint8Array {
    const start = buffer * ringBufferBytes
    return this.#data.bytes.subarray(start + from, start + length)
  }

  /** Whether a watcher in `slot` can be told of. */
  serves(slot: number): boolean {
    return slot < mostSlots
  }

  /** The kernel receives from now on, a buffer each time, until the stream ends, it fails, or `cancel`. */
  receive(socket: Descriptor, slot: number, generation: number): void {
    this.#makeRoom()
    const what = operation.receive | (requestFlag.selectBuffer << 8) | (multishot << 16)
    this.#write(what, Descriptor.numberInBatch(socket), 0, 0, 0, 0)
    this.#name(ringKind.received, 0, slot, generation)
  }

  /** Sends `length` bytes of a buffer, or as many as the socket takes now. The buffer is ours until it is told. */
  send(socket: Descriptor, buffer: number, length: number, slot: number, generation: number): void {
    this.#makeRoom()
    const address = Arena.at(this.#data, buffer * ringBufferBytes, length)
    const flags = msgFlags.dontWait | msgFlags.noSignal
    const high = address / 0x1_0000_0000
    this.#write(operation.send, Descriptor.numberInBatch(socket), address, high, length, flags)
    this.#name(ringKind.sent, buffer, slot, generation)
  }

  /** Ends `receive`; its last completion says so. */
  cancel(slot: number, generation: number): void {
    this.#makeRoom()
    this.#write(operation.cancel, -1, generation, nameOf(ringKind.received, 0, slot), 0, 0)
    this.#name(ringKind.cancelled, 0, slot, generation)
  }

  /** Completes once `set` has events; at once where it has. */
  poll(set: Descriptor): void {
    this.#makeRoom()
    this.#write(operation.poll, Descriptor.numberInBatch(set), 0, 0, 0, epollIn)
    this.#name(ringKind.epoll, 0, 0, 0)
  }

  /** Before a descriptor is named: it is to be in the batch that is handed over next. @throws where the kernel takes none. */
  #makeRoom(): void {
    if (this.#written < entries) return
    this.#enter(0, 0)
    if (this.#written === entries) throw new Error('the kernel takes no more requests')
  }

  /** The next struct io_uring_sqe; the words that none of ours uses stay zero. */
  #write(what: number, fd: number, low: number, high: number, length: number, flags: number): void {
    const at = ((this.#rings.words[this.#sq.tail] as number) & this.#sq.mask) * requestWords
    const words = this.#requests
    this.#last = at
    words[at] = what
    words[at + 1] = fd
    words[at + 4] = low
    words[at + 5] = high
    words[at + 6] = length
    words[at + 7] = flags
  }

  #name(kind: number, buffer: number, slot: number, generation: number): void {
    const words = this.#requests
    words[this.#last + 8] = generation
    words[this.#last + 9] = nameOf(kind, buffer, slot)
    const { words: rings } = this.#rings
    rings[this.#sq.tail] = (rings[this.#sq.tail] as number) + 1
    this.#written++
  }

  /** A number that closes may be another file's by the time that the kernel reads it. */
  #submitBefore(closing: number): void {
    this.#enter(0, 0)
    const tail = this.#rings.words[this.#sq.tail] as number
    for (let back = 1; back <= this.#written; back++) {
      const at = ((tail - back) & this.#sq.mask) * requestWords
      if (this.#requests[at + 1] === closing) this.#requests[at + 1] = -1
    }
  }

  #enter(atLeast: number, flags: number): void {
    const handedOver = enterRing(this.#ring, this.#written, atLeast, flags, this.#limit)
    // All, or none where the kernel is short of memory: then they go with the next.
    if (handedOver > 0) this.#written -= handedOver
    if (this.#written === 0) batchIsSubmitted()
  }

  /** Hands over what was written, and waits until something has completed, at most `timeoutMs` ms. @returns how many. */
  enter(timeoutMs: number): number {
    const { words } = this.#limit
    words[8] = timeoutMs / 1000
    words[10] = (timeoutMs % 1000) * 1_000_000
    this.#enter(timeoutMs > 0 ? 1 : 0, this.#waitFlags)
    const { words: rings } = this.#rings
    return ((rings[this.#cq.tail] as number) - (rings[this.#cq.head] as number)) >>> 0
  }

  /** Where the i-th completion since `enter` lies; for the questions below. */
  completion(i: number): number {
    const head = this.#rings.words[this.#cq.head] as number
    return this.#cq.first + ((head + i) & this.#cq.mask) * 4
  }
  kind(completion: number): number {
    return (this.#rings.words[completion + 1] as number) >>> 30
  }
  slot(completion: number): number {
    return (this.#rings.words[completion + 1] as number) & (mostSlots - 1)
  }
  generation(completion: number): number {
    return this.#rings.words[completion] as number
  }
  /** Bytes, or an errno below zero. */
  result(completion: number): number {
    return this.#results[completion + 2] as number
  }
  /** The buffer that was received into, where the result is above zero. */
  filled(completion: number): number {
    return (this.#rings.words[completion + 3] as number) >>> 16
  }
  /** The buffer that was sent from. */
  emptied(completion: number): number {
    return ((this.#rings.words[completion + 1] as number) >>> 20) & 0x3ff
  }
  /** The same request will complete again. */
  more(completion: number): boolean {
    return ((this.#rings.words[completion + 3] as number) & completionFlag.more) !== 0
  }

  /** `count` completions have been seen to. */
  seen(count: number): void {
    const { words } = this.#rings
    words[this.#cq.head] = (words[this.#cq.head] as number) + count
  }

  /** What was cancelled ends before. */
  close(): void {
    this.enter(0)
    close(this.#ring)
  }
}

function nameOf(kind: number, buffer: number, slot: number): number {
  return ((kind << 30) | (buffer << 20) | slot) >>> 0
}
