/** A thread of our own code: a file of the package, or, where Naru is one file, a text inside of it. */
import { basename } from 'node:path'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { isOneFile, ownText } from './own-files.ts'

/** @param file its code. Inside of one file it goes by the last word of that. */
export function ownThread(file: URL, options: WorkerOptions): Worker {
  if (!isOneFile) return new Worker(file, options)
  return new Worker(ownText(basename(file.pathname)), { ...options, eval: true })
}
