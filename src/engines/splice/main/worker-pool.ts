/**
 * The engine's threads: started at the first rule, spoken to by message and wakeup, started anew where one dies. What
 * a dead one held is closed with RST, and its connections are reported as ended by the engine.
 */
import type { Worker } from 'node:worker_threads'
import { systemClock } from '../../../base/clock.ts'
import { say, type Text } from '../../../base/text.ts'
import { dialsOfProcess, givePlace, takePlace } from '../../../relay/own-dials.ts'
import { closeAllOf, close, Descriptor, openWakeup, signalWakeup } from '../../../linux/libc.ts'
import { missingWorkerFile, newThread, takePrestarted } from './prestart.ts'
import type { FromThread, ThreadData, Thresholds, ToThread } from '../shared/messages.ts'
import { RecordReader, type RecordNames } from '../shared/records.ts'

export interface WorkerPoolOptions {
  readonly threads: number
  readonly descriptorLimit: number
  readonly thresholds: Thresholds
  readonly names: RecordNames
  readonly onMessage: (thread: number, message: FromThread) => void
  /** `member`'s records are still as it left them; a new thread takes its place once this returns. */
  readonly onDeath: (thread: number, reader: RecordReader, why: string) => void
  /** The new thread is ready to be told what it carries. */
  readonly onJoined: (thread: number) => void
  /** It died too often: nobody takes its place. */
  readonly onGivenUp: (thread: number, why: string) => void
}

/** More deaths of one thread within a minute mean that starting it anew does not help. */
const mostDeaths = 5
const deathsWithinMs = 60_000
/** Serials of a thread's next life begin so far on, above any that its events could still carry. */
const serialsALife = 2 ** 40
/** How long a thread may take to stop when asked. */
const stopWithinMs = 2000

export function whyNotBuilt(): Text | null {
  const file = missingWorkerFile()
  return file === null ? null : say`${file} is not built`
}

/** The one that was begun early is as good as a new one. */
function startThread(data: ThreadData): Worker {
  const early = data.thread === 0 ? takePrestarted() : null
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  early?.postMessage(data)
  return early ?? newThread(data.thread, data)
}

class WorkerHandle {
  readonly wakeup: Descriptor
  readonly worker: Worker
  readonly reader: RecordReader
  readonly stopped: Promise<void>
  highestSerial: number
  /** Ending a thread while it loads a native add-on would abort the process. */
  mayEnd = false
  readonly ready: Promise<void>

  constructor(
    options: WorkerPoolOptions,
    data: Omit<ThreadData, 'wakeup' | 'descriptorLimit' | 'thresholds'>,
    on: { message: (message: FromThread) => void; gone: (why: string) => void },
  ) {
    this.wakeup = openWakeup()
    this.highestSerial = data.firstSerial
    this.reader = new RecordReader(data.thread, options.names)
    const workerData: ThreadData = {
      ...data,
      wakeup: Descriptor.number(this.wakeup),
      descriptorLimit: options.descriptorLimit,
      thresholds: options.thresholds,
    }
    this.worker = startThread(workerData)
    let why = 'it ended'
    this.worker.on('message', on.message)
    this.ready = new Promise((resolve) => {
      this.worker.on('message', ({ type }: FromThread) => {
        if (type === 'ready') resolve()
      })
      this.worker.once('exit', () => resolve())
    })
    this.worker.on('error', (error: unknown) => {
      why = error instanceof Error ? (error.stack ?? error.message) : String(error)
    })
    this.stopped = new Promise((resolve) => this.worker.once('exit', () => resolve()))
    void this.stopped.then(() => on.gone(why))
  }

  post(message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.worker.postMessage(message)
    signalWakeup(this.wakeup)
  }
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #fdOwners: SharedArrayBuffer
  readonly #members: (WorkerHandle | null)[] = []
  readonly #deaths: number[][] = []
  #closing = false
  #whole: Promise<void> = Promise.resolve()
  readonly #wakeAll = (): void => {
    for (const member of this.#members) if (member) signalWakeup(member.wakeup)
  }

  private constructor(options: WorkerPoolOptions) {
    this.#options = options
    this.#fdOwners = new SharedArrayBuffer(options.descriptorLimit)
  }

  /**
   * Ready with its first thread: a second takes as long again to start (about 0.1 s), and `naru open` is to forward
   * by then. @throws where no thread can be started
   */
  static async start(options: WorkerPoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options)
    // A thread that waits for events keeps the process from exiting until it looks up.
    process.on('exit', pool.#wakeAll)
    try {
      await pool.#begin(0, 0)
    } catch (error) {
      await pool.close()
      throw error
    }
    // Making a thread holds this one up for 5 ms: who waited for the first goes before.
    pool.#whole = new Promise((resolve) => setImmediate(() => resolve(pool.#joinOthers())))
    return pool
  }

  async #joinOthers(): Promise<void> {
    if (this.#closing) return
    const others = Array.from({ length: this.#options.threads - 1 }, (_, i) => this.#join(i + 1, 0))
    await Promise.all(others)
  }

  /** Once every thread had its first chance to join. Who gives a thread clients of its own (UDP) waits for it. */
  async whole(): Promise<void> {
    await this.#whole
  }

  get size(): number {
    return this.#options.threads
  }

  post(thread: number, message: ToThread): void {
    this.#members[thread]?.post(message)
  }

  alive(thread: number): boolean {
    return (this.#members[thread] ?? null) !== null
  }

  reader(thread: number): RecordReader | null {
    return this.#members[thread]?.reader ?? null
  }

  /** Ends a thread as a crash would; for tests. */
  async kill(thread: number): Promise<void> {
    const member = this.#members[thread]
    if (!member) return
    await member.ready
    const ended = member.worker.terminate()
    signalWakeup(member.wakeup)
    await ended
  }

  /** Resolves when it is ready. @throws where it cannot be started. */
  #begin(thread: number, firstSerial: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const place = takePlace()
      const data = { thread, fdOwners: this.#fdOwners, firstSerial, dials: dialsOfProcess, place }
      const member = new WorkerHandle(this.#options, data, {
        message: (message) => {
          if (message.type === 'block') member.reader.addBlock(message.memory)
          else if (message.type === 'ready') {
            member.mayEnd = true
            resolve()
          } else this.#options.onMessage(thread, message)
        },
        gone: (why) => {
          givePlace(place)
          // Where the first one does not start there is no pool; one that took a place may be tried again.
          if (thread === 0 && firstSerial === 0 && !member.mayEnd) this.#closing = true
          this.#gone(thread, member, why)
          reject(new Error(why))
        },
      })
      this.#members[thread] = member
    })
  }

  #gone(thread: number, member: WorkerHandle, why: string): void {
    this.#members[thread] = null
    const wakeup = member.wakeup
    if (!this.#closing) this.#restartWorker(thread, member, why)
    close(wakeup)
  }

  #restartWorker(thread: number, member: WorkerHandle, why: string): void {
    this.#options.onDeath(thread, member.reader, why)
    closeAllOf(new Uint8Array(this.#fdOwners), thread + 1)
    const now = performance.now()
    const deaths = [...(this.#deaths[thread] ?? []), now].filter((at) => at > now - deathsWithinMs)
    this.#deaths[thread] = deaths
    if (deaths.length > mostDeaths) return this.#options.onGivenUp(thread, why)
    void this.#join(thread, member.highestSerial + serialsALife)
  }

  /** A thread that comes while others already carry; one that fails is seen to by `#bury`. */
  #join(thread: number, firstSerial: number): Promise<void> {
    return this.#begin(thread, firstSerial).then(
      () => this.#options.onJoined(thread),
      () => {},
    )
  }

  /** Ends all threads; what they carry is cut. */
  async close(): Promise<void> {
    this.#closing = true
    const members = this.#members.filter((member) => member !== null)
    for (const member of members) member.post({ type: 'stop' })
    await Promise.all(members.map((member) => within(stopWithinMs, member)))
    process.off('exit', this.#wakeAll)
    closeEverything(this.#fdOwners, this.#options.threads)
  }
}

async function within(ms: number, member: WorkerHandle): Promise<void> {
  const timer = systemClock.every(ms, () => {
    if (member.mayEnd) void member.worker.terminate()
  })
  await member.stopped
  timer[Symbol.dispose]()
}

/** Idle pipes and the like. */
function closeEverything(fdOwners: SharedArrayBuffer, threads: number): void {
  for (let thread = 0; thread < threads; thread++) closeAllOf(new Uint8Array(fdOwners), thread + 1)
}
