/**
 * Waiting for a signal among thousands who wait for the same one: a rule each, say. An EventTarget looks at all its
 * listeners whenever one comes or goes; here it has a single one.
 */
import { setMaxListeners } from 'node:events'

const waiting = new WeakMap<AbortSignal, Waiting>()

interface Waiting {
  readonly calls: Set<Call>
  readonly fire: () => void
}

interface Call {
  readonly run: () => void
}

/** Calls `run` once when the signal fires, unless disposed before. Never where it has fired already. */
export function onAbort(signal: AbortSignal, run: () => void): Disposable {
  if (signal.aborted) return { [Symbol.dispose]: () => {} }
  const there = waiting.get(signal) ?? listen(signal)
  const call: Call = { run }
  there.calls.add(call)
  return {
    [Symbol.dispose]: () => {
      // A signal made of others is kept as long as somebody listens to it.
      if (there.calls.delete(call) && there.calls.size === 0) forget(signal, there)
    },
  }
}

function listen(signal: AbortSignal): Waiting {
  const calls = new Set<Call>()
  const made: Waiting = {
    calls,
    fire: () => {
      for (const call of calls) {
        calls.delete(call)
        call.run()
      }
    },
  }
  waiting.set(signal, made)
  signal.addEventListener('abort', made.fire, { once: true })
  return made
}

function forget(signal: AbortSignal, { fire }: Waiting): void {
  signal.removeEventListener('abort', fire)
  waiting.delete(signal)
}

/** For what goes on whoever asked for it has gone, and has its own limits. */
export const neverAborted: AbortSignal = new AbortController().signal
// Thousands may wait for it at once; Node takes more than ten for a leak.
setMaxListeners(0, neverAborted)
