/** What a process that is gone left in force, undone from its journal alone: from the outside in, the newest first. */
import { NaruError, toNaruError } from '../base/errors.ts'
import { withLimit } from '../base/clock.ts'
import { listed, say, sayOf, type Text } from '../base/text.ts'
import { hops, type Hop } from '../model/hop.ts'
import type { Log } from '../base/log.ts'
import type { JournalEntry, Journal } from '../instance/journal.ts'
import { hopNames } from '../doctor/verdict.ts'
import type { Unreleased } from './releases.ts'
import type { Deps } from '../instance/deps.ts'
import { publisherOf } from '../mappings/publisher.ts'

const oneLimitMs = 8000

/** An effect of before that is still in force, and why. */
export type Failed = JournalEntry & { readonly why: NaruError }

/** @returns what could not be undone; it stays in the journal for the next time. */
export async function undoJournal(
  journal: Journal,
  parts: Deps,
  options: { signal: AbortSignal; keep?: (entry: JournalEntry) => boolean },
): Promise<readonly Failed[]> {
  const left = journal.live().filter((entry) => !options.keep?.(entry))
  const failed: Failed[] = []
  for (const hop of hops.toReversed()) {
    const entries = left.filter((entry) => entry.hop === hop).toReversed()
    const results = await Promise.all(entries.map((entry) => undoOne(entry, journal, parts, options.signal)))
    failed.push(...results.filter((one) => one !== null))
  }
  return failed
}

/** What was in force before and is carried by a rule again is struck out; the rest is undone now. */
export async function settleAdopted(
  journal: Journal,
  parts: Deps,
  options: {
    before: ReadonlySet<number>
    carries: (entry: JournalEntry) => boolean
    signal: AbortSignal
  },
): Promise<void> {
  const { before, carries, signal } = options
  for (const entry of journal.live())
    if (before.has(entry.id) && carries(entry)) await journal.undone(entry.id)
  await undoJournal(journal, parts, { signal, keep: ({ id }) => !before.has(id) })
}

async function undoOne(
  entry: JournalEntry,
  journal: Journal,
  parts: Deps,
  signal: AbortSignal,
): Promise<Failed | null> {
  try {
    await undoEffect(entry, parts, withLimit(signal, oneLimitMs))
    await journal.undone(entry.id)
    return null
  } catch (error) {
    logFailure(parts.log, entry, error)
    return { ...entry, why: toNaruError(error) }
  }
}

function undoEffect({ hop, member, effect }: JournalEntry, parts: Deps, signal: AbortSignal): Promise<void> {
  const { host } = parts
  const undoers: Record<Hop, () => Promise<void> | undefined> = {
    service: () => Promise.resolve(),
    relay: () => parts.engines.find(({ id }) => id === member)?.undo(effect, { signal }),
    guest: () => parts.guests.find(({ kind }) => kind === member)?.undo(effect, { host, signal }),
    firewall: () => parts.firewalls.find(({ id }) => id === member)?.undo(effect, { host, signal }),
    router: () => publisherOf(parts).undo(effect, signal),
  }
  return undoers[hop]() ?? Promise.reject(new Error(`nobody here knows how ${member} undoes`))
}

function logFailure(log: Log, entry: JournalEntry, error: unknown): void {
  const why = toNaruError(error).text
  log.warn(
    { rule: entry.rule, hop: entry.hop, member: entry.member },
    sayOf('earlier run')`left over from before, not undone yet: ${why}`,
  )
}

/** Named one by one; of more, the rest is counted. */
const mostNamed = 10

/** Effects for people, each with why it is still in force where that is known. */
export function leftIn(
  entries: readonly (JournalEntry & { readonly why?: NaruError })[],
  unreleased: readonly Unreleased[] = [],
): readonly Text[] {
  const named = entries.map(({ rule, hop, member, why }) => {
    const known = unreleased.find((one) => one.rule === rule && one.hop === hop)
    const place = say`${rule}: ${hopNames[hop]} (${known?.member ?? member})`
    const what = known?.text.en ? say`${place} ${known.text}` : place
    const because = known?.why ?? why
    return because ? say`${what}: ${because.text}` : what
  })
  const distinct = [...new Map(named.map((text) => [text.en, text])).values()]
  const more = distinct.length - mostNamed
  return more > 0 ? [...distinct.slice(0, mostNamed), say`${more} more`] : distinct
}

export function notUndone(left: readonly Text[]): NaruError {
  const all = listed(left, '; ')
  return new NaruError('NOT_UNDONE', { left: all }, { left })
}
