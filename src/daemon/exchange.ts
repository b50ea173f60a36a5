/**
 * Files of other programs for the API: text in, text out. A text of 400 kB may take seconds to read, so each has a
 * thread of its own, one at a time, with bounds for time and memory.
 */
import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { neverAborted } from '../base/on-abort.ts'
import { within } from '../base/clock.ts'
import { NaruError, messageOf, type Code, type Param, type Params, type PlacedText } from '../base/errors.ts'
import { ownThread } from '../base/own-thread.ts'
import { Semaphore } from '../base/semaphore.ts'
import { sayOf } from '../base/text.ts'
import type { Exchange, ExportFormat, Exported, Imported, ImportFormat } from '../model/import-export.ts'
import type { RuleInput } from '../model/naru-api.ts'

export type ExchangeAsked =
  | {
      readonly way: 'read'
      readonly text: string
      readonly options: { readonly file: string; readonly from: ImportFormat | null }
    }
  | {
      readonly way: 'write'
      readonly to: ExportFormat
      readonly rules: readonly { readonly name: string; readonly rule: RuleInput }[]
    }

export type ExchangeAnswer =
  | { readonly done: Imported | Exported }
  | {
      readonly failed: {
        readonly code: Code
        readonly params: Readonly<Record<string, Param>>
        readonly problems: readonly PlacedText[]
      }
    }

const limitMs = 30_000
/** The worst text of 400 kB takes 150 MB. */
const maxOldGenerationSizeMb = 512

const one = new Semaphore(1, 'an import or export')

export const exchange: Exchange = {
  read: async (text, options) => (await ask({ way: 'read', text, options })) as Imported,
  write: async (to, rules) => (await ask({ way: 'write', to, rules })) as Exported,
}

function ask(asked: ExchangeAsked): Promise<Imported | Exported> {
  return one.through(async () => {
    const answer = await answerTo(asked)
    if ('done' in answer) return answer.done
    const { code, params, problems } = answer.failed
    throw new NaruError(code, params as Params<Code>, { problems })
  }, neverAborted)
}

/** @throws NaruError TIMED_OUT, INTERNAL */
async function answerTo(workerData: ExchangeAsked): Promise<ExchangeAnswer> {
  const worker = ownThread(workerFile(), {
    workerData,
    execArgv: [],
    name: 'naru exchange',
    resourceLimits: { maxOldGenerationSizeMb },
  })
  try {
    return await within(undefined, limitMs, (limit) => heard(worker, limit))
  } finally {
    void worker.terminate()
  }
}

async function heard(worker: Worker, limit: AbortSignal): Promise<ExchangeAnswer> {
  try {
    return ((await once(worker, 'message', { signal: limit })) as [ExchangeAnswer])[0]
  } catch (thrown) {
    if (!limit.aborted) throw new NaruError('INTERNAL', { why: messageOf(thrown) }, { cause: thrown })
    throw new NaruError('TIMED_OUT', { what: sayOf('exchange')('the file'), ms: limitMs })
  }
}

/** From source (under vitest) it is what `npm run build` made: Node 20 cannot load TypeScript in a thread. */
function workerFile(): URL {
  const here = import.meta.url
  return new URL(here.endsWith('.ts') ? '../../dist/daemon/exchange-worker.js' : './exchange-worker.js', here)
}
