/**
 * What a thread of the engine lets the main thread see without asking: a record for each connection, and sums for
 * each rule. One thread writes, the main thread only reads, so looking never stops the flow.
 */
import { closeReasons, type CloseReason, type Connection } from '../../../model/connection.ts'
import { copySockaddr, endpointOf } from '../../../linux/sockaddr-fields.ts'

// ── sums for a rule ─────────────────────────────────────────────────────────────────────────────────────────────

export const reasonList = Object.keys(closeReasons) as readonly CloseReason[]
/** Cells of one thread's sums for one rule; one for each close reason follows them. */
export const cell = {
  opened: 0,
  toTarget: 1,
  toClient: 2,
  datagramsToTarget: 3,
  datagramsToClient: 4,
  lost: 5,
  ended: 6,
  offloaded: 7,
} as const
const firstReasonCell = 8
const cellsPerLine = 8
/** Two threads never write to one cache line. */
export const cellsPerThread = Math.ceil((firstReasonCell + reasonList.length) / cellsPerLine) * cellsPerLine

export function reasonCell(reason: CloseReason): number {
  return firstReasonCell + reasonList.indexOf(reason)
}

export function allocateCells(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * cellsPerThread * 8)
}

/** The part of a rule's cells that one thread writes. */
export function cellsOf(memory: SharedArrayBuffer, thread: number): Float64Array {
  return new Float64Array(memory, thread * cellsPerThread * 8, cellsPerThread)
}

/** One cell over all threads. */
export function sumCell(memory: SharedArrayBuffer, at: number): number {
  const cells = new Float64Array(memory)
  let sum = 0
  for (let i = at; i < cells.length; i += cellsPerThread) sum += cells[i] as number
  return sum
}

/** What has begun and not ended: at least what is open, never less, though threads go on while one looks. */
export function sumOpen(memory: SharedArrayBuffer): number {
  const ended = sumCell(memory, cell.ended)
  return sumCell(memory, cell.opened) - ended
}

// ── connections ─────────────────────────────────────────────────────────────────────────────────────────────────

/** A record is 128 bytes: five doubles, six words, and two addresses of 28 bytes. */
export const recordBytes = 128
const doubles = recordBytes / 8
const words = recordBytes / 4
const field = { serial: 0, openedAt: 1, toTarget: 2, toClient: 3, closedAt: 4 } as const
const word = { revision: 10, listener: 11, state: 12, reason: 13, targetIndex: 14 } as const
const clientAt = 60
const targetAt = 92

/** Records are added by the block, so that a thread with few connections has little memory. */
export const recordsPerBlock = 1024
const blockShift = 10

const states = ['dialling', 'open', 'half-closed', 'closed'] as const
type State = (typeof states)[number]

/** Memory that records lie in, one after the other in a thread's own, with more between them in a batch of events. */
export class Block {
  readonly doubles: Float64Array
  readonly words: Uint32Array
  readonly bytes: Uint8Array

  constructor(memory: SharedArrayBuffer | ArrayBuffer) {
    this.doubles = new Float64Array(memory)
    this.words = new Uint32Array(memory)
    this.bytes = new Uint8Array(memory)
  }
}

/** Under which revision the record at `at` bytes came in. */
export function revisionIn(block: Block, at: number): number {
  return block.words[(at >> 2) + word.revision] as number
}

/** The thread's side: it alone writes. */
export class Records {
  readonly #blocks: Block[] = []
  readonly #free: number[] = []
  #serial: number
  readonly #onBlock: (memory: SharedArrayBuffer) => void

  /** @param firstSerial above all that an earlier thread of the same place gave. */
  constructor(firstSerial: number, onBlock: (memory: SharedArrayBuffer) => void) {
    this.#serial = firstSerial
    this.#onBlock = onBlock
    this.#grow()
  }

  /** @param revision which revision of which rule it came in under. @param client a sockaddr. */
  begin(revision: number, listener: number, client: Uint8Array, openedAt: number): number {
    if (this.#free.length === 0) this.#grow()
    const record = this.#free.pop() as number
    const block = this.#blocks[record >> blockShift] as Block
    const at = record & (recordsPerBlock - 1)
    for (let i = at * words; i < (at + 1) * words; i++) block.words[i] = 0
    copySockaddr(client, block.bytes, at * recordBytes + clientAt)
    block.words[at * words + word.revision] = revision
    block.words[at * words + word.listener] = listener
    block.doubles[at * doubles + field.openedAt] = openedAt
    // Last: a record is read only once it has its serial.
    block.doubles[at * doubles + field.serial] = ++this.#serial
    return record
  }

  addToTarget(record: number, bytes: number): void {
    const block = this.#blocks[record >> blockShift] as Block
    const at = (record & (recordsPerBlock - 1)) * doubles + field.toTarget
    block.doubles[at] = (block.doubles[at] as number) + bytes
  }

  addToClient(record: number, bytes: number): void {
    const block = this.#blocks[record >> blockShift] as Block
    const at = (record & (recordsPerBlock - 1)) * doubles + field.toClient
    block.doubles[at] = (block.doubles[at] as number) + bytes
  }

  setState(record: number, state: State): void {
    const block = this.#blocks[record >> blockShift] as Block
    block.words[(record & (recordsPerBlock - 1)) * words + word.state] = states.indexOf(state)
  }

  /** @param targetIndex which of the revision's targets; a Unix target has no more than that. */
  setTarget(record: number, targetIndex: number, target: Uint8Array): void {
    const block = this.#blocks[record >> blockShift] as Block
    const at = record & (recordsPerBlock - 1)
    block.words[at * words + word.targetIndex] = targetIndex
    copySockaddr(target, block.bytes, at * recordBytes + targetAt)
  }

  /** Whom a trusted proxy named in place of itself. */
  setClient(record: number, client: Uint8Array): void {
    const block = this.#blocks[record >> blockShift] as Block
    const at = (record & (recordsPerBlock - 1)) * recordBytes + clientAt
    block.bytes.fill(0, at, at + 28)
    block.bytes.set(client, at)
  }

  /** The client's sockaddr; copy what you keep. */
  client(record: number): Uint8Array {
    const block = this.#blocks[record >> blockShift] as Block
    const at = (record & (recordsPerBlock - 1)) * recordBytes + clientAt
    return block.bytes.subarray(at, at + 28)
  }

  serial(record: number): number {
    const block = this.#blocks[record >> blockShift] as Block
    return block.doubles[(record & (recordsPerBlock - 1)) * doubles + field.serial] as number
  }

  /** Writes the end into the record and copies it to `into`; `free` must follow. */
  end(record: number, reason: CloseReason, closedAt: number): void {
    const block = this.#blocks[record >> blockShift] as Block
    const at = record & (recordsPerBlock - 1)
    block.doubles[at * doubles + field.closedAt] = closedAt
    block.words[at * words + word.reason] = reasonList.indexOf(reason) + 1
    block.words[at * words + word.state] = states.indexOf('closed')
  }

  /** Copies the record to `into` from the word `at` on. */
  copy(record: number, into: Uint32Array, at: number): void {
    const block = this.#blocks[record >> blockShift] as Block
    const from = (record & (recordsPerBlock - 1)) * words
    for (let i = 0; i < words; i++) into[at + i] = block.words[from + i] as number
  }

  free(record: number): void {
    const block = this.#blocks[record >> blockShift] as Block
    block.doubles[(record & (recordsPerBlock - 1)) * doubles + field.serial] = 0
    this.#free.push(record)
  }

  #grow(): void {
    const memory = new SharedArrayBuffer(recordsPerBlock * recordBytes)
    const first = this.#blocks.length << blockShift
    this.#blocks.push(new Block(memory))
    for (let i = recordsPerBlock - 1; i >= 0; i--) this.#free.push(first + i)
    this.#onBlock(memory)
  }
}

/** What numbers in a record stand for. */
export interface RecordNames {
  /** Null where the revision is none of ours any more. */
  revision(id: number): RevisionNames | null
  listener(id: number): ListenerNames | null
}

export interface RevisionNames {
  readonly rule: string
  target(index: number): string
}

export interface ListenerNames {
  readonly protocol: Connection['protocol']
  readonly text: string
}

/** The main thread's side: it only reads. */
export class RecordReader {
  readonly #thread: number
  readonly #names: RecordNames
  readonly #blocks: Block[] = []

  constructor(thread: number, names: RecordNames) {
    this.#thread = thread
    this.#names = names
  }

  addBlock(memory: SharedArrayBuffer): void {
    this.#blocks.push(new Block(memory))
  }

  /** Every connection there is; `wanted` says whose. */
  list(wanted: (revision: number) => boolean): Connection[] {
    const found: Connection[] = []
    for (const block of this.#blocks) {
      for (let at = 0; at < recordsPerBlock; at++) {
        const serial = block.doubles[at * doubles] as number
        if (serial === 0 || !wanted(block.words[at * words + word.revision] as number)) continue
        const connection = this.decode(block, at * recordBytes)
        // It ended and the place was taken anew while we read.
        if (connection && block.doubles[at * doubles] === serial && connection.state !== 'closed')
          found.push(connection)
      }
    }
    return found
  }

  /** How many there are. */
  count(wanted: (revision: number) => boolean): number {
    let count = 0
    for (const block of this.#blocks) {
      for (let at = 0; at < recordsPerBlock; at++)
        if (block.doubles[at * doubles] !== 0 && wanted(block.words[at * words + word.revision] as number))
          count++
    }
    return count
  }

  /** The rule revision of an open connection, or null where there is none of that number. */
  revisionOf(serial: number): number | null {
    for (const block of this.#blocks) {
      for (let at = 0; at < recordsPerBlock; at++)
        if (block.doubles[at * doubles] === serial) return block.words[at * words + word.revision] as number
    }
    return null
  }

  /** A record that was copied out of the thread, at `at` bytes (a multiple of 8). */
  decode(block: Block, at: number): Connection | null {
    return this.told(block, at)?.() ?? null
  }

  /** The same, put into words once somebody looks; whose it was is asked now. */
  told(block: Block, at: number): (() => Connection) | null {
    const revision = this.#names.revision(block.words[(at >> 2) + word.revision] as number)
    const listener = this.#names.listener(block.words[(at >> 2) + word.listener] as number)
    if (!revision || !listener) return null
    let connection: Connection | null = null
    return () => (connection ??= this.#decode(block, at, revision, listener))
  }

  #decode(block: Block, at: number, revision: RevisionNames, listener: ListenerNames): Connection {
    const double = (of: number): number => block.doubles[(at >> 3) + of] as number
    const number = (of: number): number => block.words[(at >> 2) + of] as number
    const reason = number(word.reason)
    return {
      id: `s${this.#thread}-${double(field.serial)}`,
      rule: revision.rule,
      engine: 'splice',
      protocol: listener.protocol,
      client: endpointOf(block.bytes, at + clientAt),
      listen: listener.text,
      target: targetText(block.bytes, at, () => revision.target(number(word.targetIndex))),
      openedAt: double(field.openedAt),
      bytesToTarget: double(field.toTarget),
      bytesToClient: double(field.toClient),
      state: states[number(word.state)] ?? 'closed',
      closedAt: reason === 0 ? null : double(field.closedAt),
      closeReason: reasonList[reason - 1] ?? null,
    }
  }
}

function targetText(bytes: Uint8Array, record: number, unix: () => string): string | null {
  const at = record + targetAt
  return bytes[at] === 0 ? null : endpointOf(bytes, at) || unix()
}

/** Thread and serial of a connection's id, or null where it is none of ours. */
export function parseId(id: string): { thread: number; serial: number } | null {
  const match = /^s(\d{1,4})-(\d{1,16})$/.exec(id)
  return match && { thread: Number(match[1]), serial: Number(match[2]) }
}
