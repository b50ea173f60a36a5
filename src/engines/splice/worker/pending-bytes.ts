/** Bytes of one direction that were read and that the other side did not take yet, in the order in which they go. */
import { send, type Arena, type Descriptor } from '../../../linux/libc.ts'
import { copyBytes, type Thread } from './thread.ts'

interface Piece {
  readonly block: Arena
  from: number
  to: number
}

export class PendingBytes {
  readonly #thread: Thread
  readonly #pieces: Piece[] = []

  constructor(thread: Thread) {
    this.#thread = thread
  }

  /** They go last. Copied; at most a block at a time. */
  add(bytes: Uint8Array): void {
    let piece = this.#pieces.at(-1)
    if (!piece || copyBytes - piece.to < bytes.length) {
      piece = { block: this.#thread.takeBlock(), from: 0, to: 0 }
      this.#pieces.push(piece)
    }
    piece.block.bytes.set(bytes, piece.to)
    piece.to += bytes.length
  }

  /** They go before all others: they were read before, and sending them did not work out. */
  addFirst(bytes: Uint8Array): void {
    const block = this.#thread.takeBlock()
    block.bytes.set(bytes)
    this.#pieces.unshift({ block, from: 0, to: bytes.length })
  }

  /** @returns how many of the first went, or an errno below zero. */
  send(to: Descriptor): number {
    const piece = this.#pieces[0]
    if (!piece) return 0
    const sent = send(to, piece.block, piece.from, piece.to - piece.from)
    if (sent < 0) return sent
    piece.from += sent
    if (piece.from === piece.to) this.#thread.giveBlock((this.#pieces.shift() as Piece).block)
    return sent
  }

  /** Throws away what there is. */
  drop(): void {
    for (const { block } of this.#pieces.splice(0)) this.#thread.giveBlock(block)
  }
}
