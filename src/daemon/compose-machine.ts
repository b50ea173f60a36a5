/** This machine for the CLI and the web page: its rooms, and the rules of a `Naru` where there is one. */
import { join } from 'node:path'
import { stateRoot } from '../instance/instance.ts'
import { withLimit, type Clock } from '../base/clock.ts'
import { isNaruError } from '../base/errors.ts'
import { unclaimedHere } from '../doctor/returned-openings.ts'
import { createMachineService } from './machine-service.ts'
import type { RuleToCheck } from '../doctor/diagnose.ts'
import type { Deps } from '../instance/deps.ts'
import { askStun } from '../host/stun.ts'
import type { Naru, RuleStatus } from '../model/naru-api.ts'
import type { MachineApi } from '../model/machine-api.ts'
import { readRule } from '../model/rule-file.ts'
import type { Rule } from '../model/rule.ts'
import type { Snapshot } from '../stores/contract.ts'
import { createFileStore } from '../stores/file/index.ts'
import { followOpened } from './follow-opened.ts'
import { foregroundRules } from './foreground.ts'
import { openRules } from './open-rules.ts'

/** @param naru the daemon or its file; null where there is neither, then no rules are known. */
export async function machineOf(parts: Deps, naru: () => Promise<Naru | null>): Promise<MachineApi> {
  const { checks } = await import('../doctor/checks/index.ts')
  const settings = moments(() => settingsOf(naru), parts.clock)
  return createMachineService({
    ...parts,
    checks,
    unclaimed: ({ signal }) => unclaimedHere(stateRoot(), parts, signal),
    byHandPath: join(stateRoot(), 'router-by-hand'),
    askStun: async (options) => {
      const { stun } = await settings()
      return askStun({ ...options, ...(stun.length > 0 && { servers: stun }) })
    },
    names: async () => (await settings()).names,
    open: () => openRules(naru),
    rules: () => allRules(naru, settings),
    onOpened: (rule, told) => followOpened({ find: naru, rule, told, clock: parts.clock }),
  })
}

type FileSettings = Pick<Snapshot, 'names' | 'stun' | 'samplePort'>

/** A file of ten thousand rules takes a second to read, and one diagnosis asks for its settings several times. */
const momentMs = 2000

function moments<T>(ask: () => Promise<T>, clock: Clock): () => Promise<T> {
  let last: { readonly answer: Promise<T>; endedAt: number | null } | null = null
  return () => {
    const isFresh = last !== null && clock.monotonic() - (last.endedAt ?? Infinity) <= momentMs
    if (last && isFresh) return last.answer
    const asked = { answer: ask(), endedAt: null as number | null }
    last = asked
    const end = (): void => void (asked.endedAt = clock.monotonic())
    asked.answer.then(end, end)
    return asked.answer
  }
}

/** What the file says beside its rules; nothing where there is none that can be read. */
async function settingsOf(find: () => Promise<Naru | null>): Promise<FileSettings> {
  try {
    const file = (await (await find())?.about())?.file
    if (file) {
      const { names, stun, samplePort } = await createFileStore(file).read({
        signal: withLimit(undefined, 5000),
      })
      return { names, stun, samplePort }
    }
  } catch {
    // Whoever asks for the rules is told what is wrong with the file.
  }
  return { names: [], stun: [], samplePort: null }
}

/** Who has no file yet has no rules, and may ask about a port or the machine all the same. */
async function listOf(naru: Naru): Promise<readonly RuleStatus[]> {
  try {
    return await naru.rules.list()
  } catch (error) {
    if (isNaruError(error, 'FILE_MISSING')) return []
    throw error
  }
}

async function allRules(
  find: () => Promise<Naru | null>,
  settings: () => Promise<FileSettings>,
): Promise<readonly RuleToCheck[]> {
  const [naru, { samplePort }] = await Promise.all([find(), settings()])
  const listed = (naru ? await listOf(naru) : []).flatMap(({ name, rule, hops, state }) => {
    const read = readRule(name, rule).rule
    // Of a file that nobody runs, no hop was looked at.
    return read
      ? [{ rule: read, hops: state === 'stopped' ? [] : hops, servedByUs: leadsToSample(read, samplePort) }]
      : []
  })
  return [...listed, ...(await foregroundRules(stateRoot()))]
}

function leadsToSample({ targets }: Rule, samplePort: number | null): boolean {
  return targets.every(
    ({ to }) => to.kind === 'inet' && to.host === '127.0.0.1' && to.ports.first === samplePort,
  )
}
