/** Lets so many through at once; the others wait in the order they came, behind those who only stepped aside. */
import { neverAborted, onAbort } from './on-abort.ts'
import { stopped } from './single-flight.ts'

export class Semaphore {
  readonly #most: number
  readonly #what: string
  readonly #waiting: (() => void)[] = []
  readonly #returning: (() => void)[] = []
  #inside = 0

  /** @param what what is said to have been stopped while it waited. */
  constructor(most: number, what: string) {
    this.#most = most
    this.#what = what
  }

  /** How many wait for room. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Runs `task` when there is room. @throws NaruError ABORTED where the signal fires before */
  async through<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#enter(signal, this.#waiting)
    try {
      return await task()
    } finally {
      this.#leave()
    }
  }

  /** Within `through`: another has the room while `wait` lasts. */
  async aside<T>(wait: () => Promise<T>): Promise<T> {
    this.#leave()
    try {
      return await wait()
    } finally {
      await this.#enter(neverAborted, this.#returning)
    }
  }

  #leave(): void {
    this.#inside--
    const next = this.#returning.shift() ?? this.#waiting.shift()
    next?.()
  }

  #enter(signal: AbortSignal, queue: (() => void)[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        wait?.[Symbol.dispose]()
        this.#inside++
        resolve()
      }
      const leave = (): void => {
        const at = queue.indexOf(enter)
        if (at >= 0) queue.splice(at, 1)
        reject(stopped(signal, this.#what))
      }
      let wait: Disposable | null = null
      if (signal.aborted) return leave()
      if (this.#inside < this.#most) return enter()
      wait = onAbort(signal, leave)
      queue.push(enter)
    })
  }
}
