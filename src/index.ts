/**
 * The library's door: a forwarder inside your own program.
 *
 * ```ts
 * import { createForwarder } from 'naru'
 *
 * await using naru = await createForwarder({ rules: { web: { listen: 8888, target: '192.168.79.128:80' } } })
 * console.log(await naru.rules.get('web'))
 * ```
 */
import { randomBytes } from 'node:crypto'
import { awake } from './base/awake.ts'
import { silentLog, type Log } from './base/log.ts'
import { Forwarder } from './rules/forwarder.ts'
import { claim, stateRoot } from './instance/instance.ts'
import { composeDeps } from './daemon/compose.ts'
import { tellTo, recover } from './daemon/recover.ts'
import { exportRules as writeRules, importRules as readRules, type ImportOptions } from './formats/index.ts'
import type { Exported, ExportFormat } from './model/import-export.ts'
import type { Imported, Naru, RuleInput } from './model/library-api.ts'
import { parseRule } from './model/rule-file.ts'
import { createMemoryStore } from './stores/memory.ts'

export { NaruError, isNaruError, type Code, type ExitCode } from './base/errors.ts'
export type { Log } from './base/log.ts'
export type { Text } from './base/text.ts'
export { closeReasons, type CloseReason, type Connection, type Counters } from './model/connection.ts'
export type {
  About,
  AddedRule,
  AddedRules,
  ChangeOptions,
  HopStatus,
  RuleAddress,
  RuleState,
  TrafficSample,
} from './model/naru-api.ts'
export type {
  ChangeResult,
  FoundRule,
  Imported,
  Naru,
  NaruEvent,
  NewRule,
  RuleChange,
  RuleInput,
  RuleStatus,
} from './model/library-api.ts'
export type { ImportOptions } from './formats/index.ts'
export type { Exported, ExportFormat, ImportFormat, Loss, SourcePlace } from './model/import-export.ts'
export type { Hop, Json } from './model/hop.ts'
export type { Plan, PlanStep } from './model/plan.ts'

export interface CreateForwarderOptions {
  /** By name, with the keys of the file (docs/rules.md). More can be added later with `rules.add`. @default none */
  readonly rules?: Readonly<Record<string, RuleInput>>
  /**
   * True: a rule of which a hop cannot be opened makes this call fail, and nothing stays open. False: what works stays
   * open, the rest is tried again and shows in `rules.list()`. @default true
   */
  readonly strict?: boolean
  /** Where the journal is kept, from which a crash is undone. @default `$NARU_STATE`, or the system's place for state */
  readonly stateFolder?: string
  /** @default nothing is logged */
  readonly log?: Log
  /** Ends the start, and later the forwarder. */
  readonly signal?: AbortSignal
}

/**
 * Opens the rules and carries them until `stop()`, `signal` or the end of an `await using` block; then everything is
 * undone, within 5 s; where something could not be, `stop()` fails with NOT_UNDONE and names it. What an earlier process
 * left behind is undone first.
 * @throws NaruError RULE_INVALID, LISTEN_…, STATE_FOLDER, and what a hop says
 */
export function createForwarder(options: CreateForwarderOptions = {}): Promise<Naru & AsyncDisposable> {
  return awake(() => begun(options))
}

async function begun(options: CreateForwarderOptions): Promise<Naru & AsyncDisposable> {
  const {
    rules = {},
    strict = true,
    stateFolder = stateRoot(),
    log = silentLog,
    signal = new AbortController().signal,
  } = options
  await recover(stateFolder, { except: null, tell: tellTo(log), signal })
  const instance = await claim(stateFolder, `library-${process.pid}-${randomBytes(3).toString('hex')}`, null)
  try {
    const parts = await composeDeps(createMemoryStore(rules), { log })
    const { forwarder } = await Forwarder.start(parts, instance, { strict, signal })
    signal.addEventListener('abort', () => void forwarder.stop().catch(() => {}), { once: true })
    // It takes rules that nobody has read yet, so it takes these.
    return forwarder as unknown as Naru & AsyncDisposable
  } catch (error) {
    await instance.release({ forget: true })
    throw error
  }
}

/**
 * Rules by name as another program's file; `losses` says what of them it cannot carry, and which were left out.
 * `importRules` is the way back. docs/import-export.md has the table.
 * @throws NaruError RULE_INVALID
 */
export function exportRules(to: ExportFormat, rules: Readonly<Record<string, RuleInput>>): Exported {
  return writeRules(
    to,
    Object.entries(rules).map(([name, rule]) => parseRule(name, rule)),
  )
}

/**
 * Forwards of another program's file as rules of ours; `losses` says what of it could not be carried over, and where it
 * stands. docs/import-export.md has the table.
 * @throws NaruError IMPORT_INVALID (file:line:column of everything that is wrong), IMPORT_UNKNOWN
 */
export function importRules(input: Uint8Array | string, options: ImportOptions = {}): Imported {
  // What a format writes is a rule by its schema: it is read back before it is given out.
  return readRules(input, options) as Imported
}
