/**
 * Pipes to splice through. They are kept for the next who needs one; a direction holds one only while bytes are in
 * it, and one that still holds bytes is never kept. Without pipes there is copying.
 */
import { close, openPipe, resizePipe, type PipeEnds } from '../../../linux/libc.ts'

/**
 * Larger pipes move more bytes a call; tried in this order. With 1 MiB a gigabyte costs no less CPU time, and what is
 * read at once makes the kernel grow the socket's receive buffer to 25 MiB, which a slow reader then fills (8 MiB).
 */
const wantedBytes = [1 << 18, 1 << 16]
/** A pipe below this (past `pipe-user-pages-soft` a new one has 2 pages) is no better than copying. */
const leastBytes = 1 << 16
/**
 * What a full segment over loopback carries: 65,535 bytes less headers and timestamps. Reads of whole ones leave no rest
 * that goes out as a segment of its own: 61,700 instead of 52,400 bytes a segment, 5 % less CPU time a gigabyte. Segments
 * of a cable are so small that it does not matter there.
 */
const loopbackSegment = 65_483
const mostIdle = 32
/** After a failure it is not tried again for so long. */
const restMs = 1000

export interface KernelPipe {
  readonly ends: PipeEnds
  /** Most bytes to put in at once. */
  readonly maxRead: number
}

export class Pipes {
  readonly #idle: KernelPipe[] = []
  #restUntil = 0
  #largest = 0

  /** @returns an empty pipe, or null where none can be had now. */
  take(now: number): KernelPipe | null {
    return this.#idle.pop() ?? (now < this.#restUntil ? null : this.#open(now))
  }

  /** @param left bytes that are still in it. */
  giveBack(pipe: KernelPipe, left: number): void {
    if (left === 0 && this.#idle.length < mostIdle) this.#idle.push(pipe)
    else closePipe(pipe)
  }

  /** Frees the idle ones: descriptors are short. */
  shrink(now: number): void {
    this.#restUntil = now + restMs
    for (const pipe of this.#idle.splice(0)) closePipe(pipe)
  }

  #open(now: number): KernelPipe | null {
    const ends = openPipe()
    if (typeof ends === 'number') {
      this.#restUntil = now + restMs
      return null
    }
    const capacity = this.#grow(ends)
    const pipe = { ends, maxRead: capacity - (capacity % loopbackSegment) }
    if (capacity >= leastBytes) return pipe
    this.#restUntil = now + restMs
    closePipe(pipe)
    return null
  }

  #grow(ends: PipeEnds): number {
    for (; this.#largest < wantedBytes.length; this.#largest++) {
      const size = resizePipe(ends, wantedBytes[this.#largest] as number)
      if (size > 0) return size
    }
    // Even 64 KiB was denied once. It may not be for ever: begin anew with the next pipe.
    this.#largest = 0
    return 0
  }
}

function closePipe({ ends }: KernelPipe): void {
  close(ends.read)
  close(ends.write)
}
