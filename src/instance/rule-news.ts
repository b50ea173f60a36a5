/**
 * What becomes of a rule after its place was passed on, for the processes that stay for its connections: whoever has the
 * place now writes it beside the lock, and they read it.
 */
import { readFile } from 'node:fs/promises'
import { errnoOf } from '../base/errors.ts'
import { replaceFile } from '../base/replace-file.ts'

export type RuleNews =
  /** Its connections finish within `timeouts.drain`, or are cut. */
  | { readonly rule: string; readonly over: 'drain' | 'cut' }
  /** It ends at another time, ms since the Unix epoch; null is never. */
  | { readonly rule: string; readonly until: number | null }
  /** It has another name. */
  | { readonly rule: string; readonly to: string }

interface Dated {
  /** As of `systemMs`. */
  readonly at: number
  readonly news: RuleNews
}

/** Whoever stays reads several times a second. */
const keptMs = 600_000
const mostKept = 20_000

/** Milliseconds that every process of this machine counts alike: clock_gettime(2), CLOCK_MONOTONIC. */
export function systemMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

/** One after the other: a call begins once the one before has ended. */
export async function writeNews(path: string, news: readonly RuleNews[]): Promise<void> {
  const at = systemMs()
  const kept = (await read(path)).filter((one) => one.at <= at && one.at > at - keptMs)
  const all = [...kept, ...news.map((one) => ({ at, news: one }))]
  await replaceFile(path, JSON.stringify(all.slice(-mostKept)), { mode: 0o600 })
}

/** What was written after `since`, the oldest first. @returns and since when to ask the next time */
export async function readNews(
  path: string,
  since: number,
): Promise<{ readonly news: readonly RuleNews[]; readonly since: number }> {
  const fresh = (await read(path)).filter(({ at }) => at > since)
  return { news: fresh.map(({ news }) => news), since: fresh.at(-1)?.at ?? since }
}

/** Empty where there is none, or none that can be read. */
async function read(path: string): Promise<readonly Dated[]> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as readonly Dated[]
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return []
    throw error
  }
}
