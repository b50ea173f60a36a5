/**
 * The engine's first thread, begun before anything else of Naru is loaded: it takes about as long to start as the rest
 * of `naru open` takes to find out what is wanted, on another core. Who wants a thread takes it; where nobody does, it
 * ends.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Worker, WorkerOptions } from 'node:worker_threads'
import { isOneFile } from '../../../base/own-files.ts'
import { ownThread } from '../../../base/own-thread.ts'
import { addOnInside } from '../../../linux/add-on-inside.ts'
import { addOn, type EarlyData, type ThreadData } from '../shared/messages.ts'

/** A loop makes little garbage; what Node allows by default (48 MiB) would be filled with it before it is collected. */
const maxYoungGenerationSizeMb = 6

/** Most that an exit waits for an add-on that is being loaded, which takes 20 ms. */
const loadsWithinMs = 2000

const builtFile = '../../../../dist/engines/splice/worker/worker.js'

/**
 * The one place that knows where the thread's code is. Node 20 cannot load TypeScript in a thread, so from source
 * (under vitest) it is what `npm run build` made.
 */
function workerFile(): URL {
  const here = import.meta.url
  if (here.endsWith('.ts')) return new URL(builtFile, here)
  // The bundle has it beside what begins it.
  return new URL(here.endsWith('/splice/main/prestart.js') ? '../worker/worker.js' : 'worker.js', here)
}

/** Where the thread's code should be and is not; null where it is there. */
export function missingWorkerFile(): string | null {
  if (isOneFile) return null
  const file = fileURLToPath(workerFile())
  return existsSync(file) ? null : file
}

/** Begins a thread. */
export function newThread(thread: number, data: ThreadData | EarlyData): Worker {
  const options: WorkerOptions = {
    workerData: data,
    execArgv: [],
    name: `naru splice ${thread}`,
    resourceLimits: { maxYoungGenerationSizeMb },
  }
  if (isOneFile) shareAddOn()
  return ownThread(workerFile(), options)
}

/** The thread is told where this one has it; where it cannot be loaded, the thread says why once it is asked for. */
function shareAddOn(): void {
  try {
    addOnInside('koffi')
  } catch {
    // It will try for itself.
  }
}

let early: { readonly worker: Worker; readonly gate: Int32Array } | null = null

/** Begins a thread that nobody has asked for yet. It keeps no process alive. */
export function prestart(): void {
  if (process.platform !== 'linux' || missingWorkerFile() !== null) return
  const memory = new SharedArrayBuffer(4)
  const gate = new Int32Array(memory)
  const worker = newThread(0, { gate: memory })
  early = { worker, gate }
  // Why it could not start is found out, and said, when one is asked for.
  worker.once('error', forget)
  worker.once('exit', forget)
  worker.unref()
  process.on('exit', () => {
    if (Atomics.compareExchange(gate, 0, addOn.unloaded, addOn.unwanted) === addOn.loading)
      Atomics.wait(gate, 0, addOn.loading, loadsWithinMs)
  })
}

/** The thread that was begun, waiting for its `ThreadData`; null where there is none. Once. */
export function takePrestarted(): Worker | null {
  const worker = early?.worker ?? null
  forget()
  worker?.ref()
  worker?.off('exit', forget)
  worker?.off('error', forget)
  return worker
}

/** Nobody will ask for it: another engine carries the rule. Resolves when it has ended. */
export async function dismissPrestarted(): Promise<void> {
  if (early === null) return
  const ended = once(early.worker, 'exit')
  Atomics.compareExchange(early.gate, 0, addOn.unloaded, addOn.unwanted)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  early.worker.postMessage(null)
  await ended.catch(() => {})
}

function forget(): void {
  early = null
}
