/**
 * What the main thread is told of connections: opened, closed, refused. Written one after the other into a buffer
 * that is posted every few milliseconds, so that 20,000 connections a second are 300 messages a second.
 */
import type { CloseReason } from '../../../model/connection.ts'
import { happened, happenedRecordAt, happeningBytes } from '../shared/messages.ts'
import { reasonList, recordBytes, type Records } from '../shared/records.ts'
import { copySockaddr } from '../../../linux/sockaddr-fields.ts'

/** Longest an event waits here. */
const delayMs = 10
/**
 * What 50,000 connections a second bring within that time: each batch wakes the main thread, and with 128 that took 3 %
 * of a new connection's CPU time. Whoever keeps one event keeps the batch that it came in, 140 KiB at most.
 */
const mostAtOnce = 1024

export class EventBatch {
  readonly #records: Records
  readonly #post: (batch: ArrayBuffer, count: number) => void
  #bytes = new Uint8Array(0)
  #words = new Uint32Array(0)
  #count = 0
  #since = 0

  constructor(records: Records, post: (batch: ArrayBuffer, count: number) => void) {
    this.#records = records
    this.#post = post
  }

  opened(record: number, now: number): void {
    const at = this.#next(happened.opened, now)
    this.#records.copy(record, this.#words, at >> 2)
  }

  closed(record: number, now: number): void {
    const at = this.#next(happened.closed, now)
    this.#records.copy(record, this.#words, at >> 2)
  }

  /** A client that never had a record: the words of one say whose it was and why. */
  refused(revision: number, listener: number, client: Uint8Array, reason: CloseReason, now: number): void {
    const at = this.#next(happened.refused, now)
    this.#words.fill(0, at >> 2, (at + recordBytes) >> 2)
    this.#words[(at >> 2) + 10] = revision
    this.#words[(at >> 2) + 11] = listener
    this.#words[(at >> 2) + 13] = reasonList.indexOf(reason) + 1
    copySockaddr(client, this.#bytes, at + 60)
  }

  /** Posts what is due. @returns milliseconds until there is more to post. */
  flush(now: number): number {
    if (this.#count === 0) return Number.POSITIVE_INFINITY
    const left = this.#since + delayMs - now
    if (left > 0 && this.#count < mostAtOnce) return Math.ceil(left)
    this.flushNow()
    return Number.POSITIVE_INFINITY
  }

  flushNow(): void {
    if (this.#count === 0) return
    const batch = this.#bytes.buffer.slice(0, this.#count * happeningBytes)
    this.#post(batch, this.#count)
    this.#count = 0
  }

  #next(kind: number, now: number): number {
    if (this.#count === 0) this.#since = now
    if (this.#count >= mostAtOnce) this.flushNow()
    const at = this.#count * happeningBytes
    if (at + happeningBytes > this.#bytes.length) this.#grow()
    this.#count++
    this.#words[at >> 2] = kind
    return at + happenedRecordAt
  }

  #grow(): void {
    const larger = new Uint8Array(Math.max(64 * happeningBytes, this.#bytes.length * 2))
    larger.set(this.#bytes)
    this.#bytes = larger
    this.#words = new Uint32Array(larger.buffer)
  }
}
