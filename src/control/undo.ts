/** What a process that is gone left in force, undone from its journal alone: from the outside in, the newest first. */
import { NaruError, toNaruError } from '../base/errors.ts'
import { withLimit } from '../base/clock.ts'
import { say, type Text } from '../base/text.ts'
import { hops, type Hop } from '../model/hop.ts'
import type { Log } from '../base/log.ts'
import type { Entry, Journal } from './journal.ts'
import type { Unreleased } from './rule-run.ts'
import type { Parts } from './parts.ts'
import { publisherOf } from './routers/publisher.ts'

const oneLimitMs = 8000

/** @returns how many effects could not be undone; they stay in the journal for the next time. */
export async function undoJournal(
  journal: Journal,
  parts: Parts,
  options: { signal: AbortSignal; keep?: (entry: Entry) => boolean },
): Promise<number> {
  const left = journal.live().filter((entry) => !options.keep?.(entry))
  let failed = 0
  for (const hop of hops.toReversed()) {
    const entries = left.filter((entry) => entry.hop === hop).toReversed()
    const results = await Promise.all(entries.map((entry) => undoOne(entry, journal, parts, options.signal)))
    failed += results.filter((undone) => !undone).length
  }
  return failed
}

async function undoOne(entry: Entry, journal: Journal, parts: Parts, signal: AbortSignal): Promise<boolean> {
  try {
    await undoEffect(entry, parts, withLimit(signal, oneLimitMs))
    await journal.undone(entry.id)
    return true
  } catch (error) {
    logFailure(parts.log, entry, error)
    return false
  }
}

function undoEffect({ hop, member, effect }: Entry, parts: Parts, signal: AbortSignal): Promise<void> {
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

function logFailure(log: Log, entry: Entry, error: unknown): void {
  const { en } = toNaruError(error).text
  log.warn(
    { rule: entry.rule, hop: entry.hop, member: entry.member },
    say(`left over from before, not undone yet: ${en}`, '').en,
  )
}

/** Named one by one; of more, the rest is counted. */
const mostNamed = 10

/** What the journal says is still in force, with what is known of why. */
export function leftIn(entries: readonly Entry[], unreleased: readonly Unreleased[]): readonly Text[] {
  const named = entries.map((entry) => {
    const known = unreleased.find(({ rule, hop }) => rule === entry.rule && hop === entry.hop)
    const place = `${entry.rule}: ${entry.hop} (${known?.member ?? entry.member})`
    return known
      ? say(
          `${place} ${known.text.en}: ${known.why.text.en}`,
          `${place} ${known.text.ko}: ${known.why.text.ko}`,
        )
      : say(place, place)
  })
  const distinct = [...new Map(named.map((text) => [text.en, text])).values()]
  const more = distinct.length - mostNamed
  return more > 0 ? [...distinct.slice(0, mostNamed), say(`${more} more`, `그 밖에 ${more}개`)] : distinct
}

export function notUndone(left: readonly Text[]): NaruError {
  const all = say(left.map(({ en }) => en).join('; '), left.map(({ ko }) => ko).join('; '))
  return new NaruError('NOT_UNDONE', { left: all }, { left })
}
