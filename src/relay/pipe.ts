/**
 * Two streams tied together, with the truth kept: a FIN passes on as a FIN and the other half lives on without
 * limit, a reset passes on as a reset, what has been read is written before anything ends. No more is held than one
 * read and what the stream itself buffers before it says stop.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'
import type { CloseReason } from '../model/connection.ts'
import type { Outstanding } from '../model/outstanding.ts'
import type { Bucket } from './bucket.ts'
import { Early } from './early.ts'
import { descriptorOf, readInto, unsentOf } from './handle.ts'
import { Intake } from './intake.ts'
import type { Live } from './meter.ts'

/** Most that is kept of what a client says before its target is connected. */
const mostEarlyBytes = 64 * 1024
const nothing = Buffer.alloc(0)

/** Null where nothing waits for that socket's peer, or nobody knows. */
export type AskOutstanding = (fd: number) => Outstanding | null

/** Null where it did not break, or nobody knows. */
export type TakeError = (fd: number) => 'reset' | 'lost' | null

export interface PipeOptions {
  readonly live: Live
  readonly clock: Clock
  /** Null is no limit. */
  readonly bucket: Bucket | null
  /** Most bytes to read at once. @default as many as there are */
  readonly maxRead?: number
  /** How the connection of that descriptor broke, where nobody has heard of it. @default nobody knows */
  readonly takeError?: TakeError
  /** One side has finished speaking, and later maybe the other. */
  readonly onHalfClosed?: () => void
  /** Once, when both sockets are closed. */
  readonly onClosed: (reason: CloseReason) => void
}

/** One connection from its first byte to its last. The client is there at once, the target when it is dialled. */
export class Pipe {
  readonly client: Socket
  target: Socket | null = null
  readonly #options: PipeOptions
  readonly #early = new Early()
  #clientEnded = false
  #targetEnded = false
  #reason: CloseReason | null = null
  #ended = false
  readonly #fromClient: Intake
  #fromTarget: Intake | null = null
  /** Waiting for the bandwidth limit, whatever a drain says. */
  #clientPaced = false
  #targetPaced = false
  /** Decides on the client's first bytes where the target depends on them, or holds them back until they are cleared. */
  #onEarly: ((early: Buffer, ended: boolean) => void) | null = null

  /** Reads from the client at once: a reset must be noticed while the target is dialled. */
  constructor(client: Socket, options: PipeOptions) {
    this.client = client
    this.#options = options
    this.#fromClient = new Intake(options.maxRead)
    this.#fromClient.sink = (chunk) => this.#hear(chunk)
    readInto(client, this.#fromClient.onread)
    client.on('data', (chunk: Buffer) => {
      if (!this.#hear(chunk)) client.pause()
    })
    client.on('end', () => this.#clientEnd())
    client.on('error', (error) => this.#broken('client', error))
    client.on('close', () => this.#closed())
    client.on('drain', () => this.#resumeTarget())
    client.resume()
  }

  get closed(): boolean {
    return this.client.destroyed && (this.target === null || this.target.destroyed)
  }

  /** The rule's own limit holds a direction back now. */
  get paced(): boolean {
    return this.#clientPaced || this.#targetPaced
  }

  /** Grows with each byte that is read, and with each that a peer takes. */
  get moved(): number {
    const { bytesToTarget, bytesToClient } = this.#options.live
    const unsent = unsentOf(this.client) + (this.target ? unsentOf(this.target) : 0)
    return 2 * (bytesToTarget + bytesToClient) - unsent
  }

  /** What waits in the system for the client, and for the target. */
  outstanding(ask: AskOutstanding): readonly [client: Outstanding | null, target: Outstanding | null] {
    return [waitsFor(this.client, ask), this.target && waitsFor(this.target, ask)]
  }

  /**
   * Once a side has finished speaking libuv polls it no more, and nobody hears of its reset or that it is gone. A write of
   * nothing sends nothing, and says so (measured on Linux 6; a read would go on saying "the end").
   */
  lookAtHalfClosed(): void {
    if (this.#clientEnded) ask(this.client)
    if (this.#targetEnded && this.target) ask(this.target)
  }

  /**
   * Hands what the client has said so far to `look`, now and each time there is more, until `unwatch`; none of it
   * goes on before. Once 64 KiB are there the client is not read any more.
   */
  watchEarly(look: (early: Buffer, ended: boolean) => void): void {
    this.#onEarly = look
    if (this.#early.length > 0 || this.#clientEnded) this.#showEarly()
  }

  /** @param skip bytes at the front that are not the target's: a header that was read. */
  unwatch(skip = 0): void {
    this.#onEarly = null
    this.#early.skip(skip)
    if (this.target) this.#release(this.target)
    else this.client.resume()
  }

  /** From here on bytes flow. @param preface goes to the target before anything the client said, uncounted. */
  connect(target: Socket, intake: Intake, preface: Buffer | null = null): void {
    this.target = target
    this.#options.live.state = this.#clientEnded ? 'half-closed' : 'open'
    this.#fromTarget = intake
    intake.sink = (chunk) => this.#toClient(chunk)
    target.on('end', () => this.#targetEnd())
    target.on('error', (error) => this.#broken('target', error))
    target.on('close', () => this.#closed())
    target.on('drain', () => this.#resumeClient())
    target.resume()
    if (preface) target.write(preface)
    if (this.#onEarly === null) this.#release(target)
  }

  /** What was kept goes on, and then everything as it comes. */
  #release(target: Socket): void {
    if (this.#early.length > 0) this.#toTarget(target, this.#early.take())
    if (this.#clientHeld()) this.client.pause()
    else this.client.resume()
    if (this.#clientEnded) target.end()
  }

  /** Ends both sides at once, as a reset. The first reason counts. */
  abort(reason: CloseReason): void {
    this.#reason ??= reason
    reset(this.client)
    if (this.target) reset(this.target)
  }

  /** Answers the client with a last word (a TLS alert) and a clean end; there is no target. */
  refuse(reason: CloseReason, lastWord: Buffer): void {
    if (lastWord.length === 0) return this.abort(reason)
    this.#reason ??= reason
    this.#onEarly = null
    this.client.removeAllListeners('data')
    this.#fromClient.sink = () => true
    this.client.resume()
    this.client.end(lastWord)
    // A client that does not hang up is hung up on.
    this.#options.clock.after(1000, () => reset(this.client))
  }

  /** @returns false where no more is to be read for now; a resume follows */
  #hear(chunk: Buffer): boolean {
    if (this.target && this.#onEarly === null) return this.#toTarget(this.target, chunk)
    this.#early.add(chunk)
    // Who looks may let it all go on.
    if (this.#onEarly) this.#showEarly()
    return !this.#clientHeld()
  }

  #toTarget(target: Socket, chunk: Buffer): boolean {
    this.#options.live.bytesToTarget += chunk.length
    target.write(chunk)
    const waitMs = this.#spend(chunk.length)
    if (waitMs === 0) return !isFull(target)
    this.#clientPaced = true
    this.#options.clock.after(waitMs, () => {
      this.#clientPaced = false
      this.#resumeClient()
    })
    return false
  }

  #toClient(chunk: Buffer): boolean {
    this.#options.live.bytesToClient += chunk.length
    this.client.write(chunk)
    const waitMs = this.#spend(chunk.length)
    if (waitMs === 0) return !isFull(this.client)
    this.#targetPaced = true
    this.#options.clock.after(waitMs, () => {
      this.#targetPaced = false
      this.#resumeTarget()
    })
    return false
  }

  /** A direction goes on when neither the limit nor the other side holds it. */
  #resumeClient(): void {
    if (!this.#clientHeld()) this.client.resume()
  }

  #clientHeld(): boolean {
    if (this.#early.length >= mostEarlyBytes || this.#clientPaced) return true
    return this.target !== null && isFull(this.target)
  }

  #resumeTarget(): void {
    if (!this.#targetPaced && !isFull(this.client)) this.target?.resume()
  }

  /** Timers have a grain of 1 ms; what is owed below that is paid with the next read. */
  #spend(bytes: number): number {
    const { bucket, clock } = this.#options
    const waitMs = bucket === null ? 0 : bucket.spend(bytes, clock.monotonic())
    return waitMs < 1 ? 0 : waitMs
  }

  #clientEnd(): void {
    const broken = this.#unheardOf(this.client)
    if (broken) return this.abort(`client-${broken}`)
    this.#clientEnded = true
    this.#fromClient.drop()
    if (this.target) this.#options.live.state = 'half-closed'
    if (this.#onEarly) this.#showEarly()
    else this.target?.end()
    this.#options.onHalfClosed?.()
  }

  #targetEnd(): void {
    const broken = this.target && this.#unheardOf(this.target)
    if (broken) return this.abort(`target-${broken}`)
    this.#targetEnded = true
    this.#options.onHalfClosed?.()
    this.#options.live.state = 'half-closed'
    this.#fromTarget?.drop()
    this.client.end()
  }

  /** A reset on the heels of the last bytes is "the end" to libuv: it takes a hang-up after a short read for one. */
  #unheardOf(socket: Socket): 'reset' | 'lost' | null {
    const fd = descriptorOf(socket)
    return fd === null ? null : (this.#options.takeError?.(fd) ?? null)
  }

  #showEarly(): void {
    this.#onEarly?.(this.#early.bytes, this.#clientEnded)
  }

  #broken(side: 'client' | 'target', error: Error): void {
    this.abort(errnoOf(error) === 'ETIMEDOUT' ? `${side}-lost` : `${side}-reset`)
  }

  #closed(): void {
    if (this.#ended || !this.closed) return
    this.#ended = true
    this.#fromClient.drop()
    this.#fromTarget?.drop()
    this.#options.onClosed(this.#reason ?? 'finished')
  }
}

/**
 * `write` says "full" of every chunk over 16 KiB, though the kernel has mostly taken all of it by then; stopping for
 * those would cost two system calls a read. A `drain` comes in any case.
 */
function isFull(socket: Socket): boolean {
  return socket.writableLength > 0 && socket.writableNeedDrain
}

function waitsFor(socket: Socket, ask: AskOutstanding): Outstanding | null {
  const fd = descriptorOf(socket)
  return fd === null ? null : ask(fd)
}

function ask(socket: Socket): void {
  if (!socket.destroyed && !socket.writableEnded && socket.writableLength === 0) socket.write(nothing)
}

/** RST on TCP (SO_LINGER 0); a Unix socket has no such thing and is just closed. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return
  try {
    socket.resetAndDestroy()
  } catch {
    socket.destroy()
  }
}
