/**
 * Time as an argument. Everything that waits, renews or expires takes a `Clock`, so that tests move time by hand
 * and the real one can tell a jump (NTP, suspend) from time that passed.
 */
import { setMaxListeners } from 'node:events'
import { awake } from './awake.ts'
import { onAbort } from './on-abort.ts'

export interface Clock {
  /** Milliseconds since the Unix epoch; may jump. For what people wrote (`until`) and what is shown. */
  now(): number
  /** Milliseconds that only go forward. For time-outs, rates and leases. */
  monotonic(): number
  /** Resolves after `ms` ms; rejects with the signal's reason where it fires first. Keeps no process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls `run` every `ms` ms until the answer is disposed. Keeps no process alive. */
  every(ms: number, run: () => void): Disposable
  /** Calls `run` once after `ms` ms unless disposed before. Keeps no process alive. */
  after(ms: number, run: () => void): Disposable
}

/** `setTimeout` fires at once beyond this many ms (2^31 − 1). */
const longestTimerMs = 2_147_483_647

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const timer = systemClock.after(ms, () => {
        wait?.[Symbol.dispose]()
        resolve()
      })
      const stop = (): void => {
        timer[Symbol.dispose]()
        reject(signal?.reason as Error)
      }
      const wait = signal && onAbort(signal, stop)
    })
  },
  every(ms, run) {
    if (ms > longestTimerMs) return everySoLong(ms, run)
    const timer = setInterval(run, ms)
    timer.unref()
    return { [Symbol.dispose]: () => clearInterval(timer) }
  },
  after(ms, run) {
    const due = performance.now() + ms
    let timer: NodeJS.Timeout
    const arm = (): void => {
      const left = due - performance.now()
      timer = setTimeout(left > longestTimerMs ? arm : run, Math.min(Math.max(left, 0), longestTimerMs))
      timer.unref()
    }
    arm()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}

function everySoLong(ms: number, run: () => void): Disposable {
  let timer: Disposable
  const arm = (): void => {
    timer = systemClock.after(ms, () => {
      arm()
      run()
    })
  }
  arm()
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() }
}

/** As `systemClock.sleep`, but the process stays alive meanwhile: for what is waited for in the foreground. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return awake(() => systemClock.sleep(ms, signal))
}

/**
 * `signal`, or a limit of `ms` ms, whichever comes first. Made by hand: `AbortSignal.any` holds a bare
 * `AbortSignal.timeout` so weakly in Node 20 that a collection can take the limit away, and the wait never ends.
 */
export function withLimit(signal: AbortSignal | undefined, ms: number): AbortSignal {
  return limit(signal, ms).signal
}

/**
 * What `work` gives, with a signal as of `withLimit`. Nothing of the limit is left once it has ended: a signal that ten
 * thousand have waited for would look at all of them whenever another one comes.
 */
export async function within<T>(
  signal: AbortSignal | undefined,
  ms: number,
  work: (limited: AbortSignal) => Promise<T>,
): Promise<T> {
  const limited = limit(signal, ms)
  try {
    return await work(limited.signal)
  } finally {
    limited[Symbol.dispose]()
  }
}

function limit(signal: AbortSignal | undefined, ms: number): Disposable & { readonly signal: AbortSignal } {
  const limited = new AbortController()
  // A hundred ports that wait for one signal are no leak.
  setMaxListeners(0, limited.signal, ...(signal ? [signal] : []))
  const timer = systemClock.after(ms, () => {
    wait?.[Symbol.dispose]()
    limited.abort(new DOMException(`no end within ${ms} ms`, 'TimeoutError'))
  })
  const follow = (): void => {
    timer[Symbol.dispose]()
    limited.abort(signal?.reason)
  }
  const wait = signal && !signal.aborted ? onAbort(signal, follow) : null
  if (signal?.aborted) follow()
  return {
    signal: limited.signal,
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]()
      wait?.[Symbol.dispose]()
    },
  }
}
