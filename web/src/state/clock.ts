/** The browser's clock, as `Clock` wants it: Node's timers can be unreferenced, a page's cannot and need not. */
import type { Clock } from '../../../src/base/clock.ts'

export const pageClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const stop = (): void => {
        clearTimeout(timer)
        reject(signal?.reason as Error)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }, ms)
      signal?.addEventListener('abort', stop, { once: true })
    }),
  every(ms, run) {
    const timer = setInterval(run, ms)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  },
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}
