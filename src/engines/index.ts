/** The engines there are, best first: `auto` takes the first that says yes. */
import type { MakeEngine } from './contract.ts'
import { makeKernelEngine } from './kernel/lazy.ts'
import { makeSocketsEngine } from './sockets/engine.ts'
import { makeSpliceEngine } from './splice/main/engine.ts'

export const engines: readonly MakeEngine[] = [makeKernelEngine, makeSpliceEngine, makeSocketsEngine]
