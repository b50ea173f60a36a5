/** What killed Narus left behind, and what others could not undo, undone by whoever starts next. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toNaruError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { Scope } from '../base/scope.ts'
import { listed, say, type Text } from '../base/text.ts'
import { removeReturned } from '../doctor/returned-openings.ts'
import { abandoned, claim, tokensPath } from '../instance/instance.ts'
import { damageText, Journal } from '../instance/journal.ts'
import { readMark } from '../instance/state-mark.ts'
import type { Deps } from '../instance/deps.ts'
import { leftIn, undoJournal } from '../rules/undo.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { forgetWord } from './foreground.ts'
import { composeDeps } from './compose.ts'

/** Told of what was undone, and of what was not. */
export type TellLeftOver = (level: 'info' | 'warn', text: Text) => void

export const tellTo =
  (log: Log): TellLeftOver =>
  (level, text) =>
    log[level]({}, text)

interface LeftOverOptions {
  /** The instance that the caller is about to take over itself. */
  readonly except: string | null
  readonly tell: TellLeftOver
  readonly signal: AbortSignal
}

export async function recover(root: string, { except, tell, signal }: LeftOverOptions): Promise<void> {
  const ids = (await abandoned(root)).filter((id) => id !== except)
  // Whoever never opened a firewall reads none.
  const marked = (await readMark(root).catch(() => null)) !== null
  if (ids.length === 0 && !marked) return
  const parts = await composeDeps(createMemoryStore())
  let whole = true
  for (const id of ids) whole = (await undoOne(root, id, parts, { tell, signal })) && whole
  // A journal that was damaged is whole again by now, without the lines that nobody can read.
  if (marked && whole) await removeReturned(root, parts, { signal, tell })
  for (const engine of parts.engines) await engine.close()
}

/** @returns whether every line of its journal could be read */
async function undoOne(
  root: string,
  id: string,
  parts: Deps,
  { tell, signal }: Omit<LeftOverOptions, 'except'>,
): Promise<boolean> {
  try {
    await using scope = new Scope()
    const instance = await claim(root, id, null)
    // What could not be undone is tried again by the next one that starts; a daemon's log-in lives on beside its file.
    let forget = !existsSync(tokensPath(instance.folder))
    scope.defer(() => instance.release({ forget }))
    await forgetWord(instance.folder)
    const journal = await Journal.open(join(root, id, 'journal'))
    scope.defer(() => journal.close())
    if (journal.damage) tell('warn', damageText(journal.damage))
    if (journal.damage) forget = false
    const before = journal.live()
    const failed = await undoJournal(journal, parts, { signal })
    sayUndone(
      leftIn(before.filter(({ id: one }) => !failed.some((left) => left.id === one))),
      leftIn(failed),
      tell,
    )
    return journal.damage === null
  } catch (error) {
    const why = toNaruError(error).text
    tell('warn', say`left over from before, not undone yet: ${why}`)
    return true
  }
}

function sayUndone(undone: readonly Text[], left: readonly Text[], tell: TellLeftOver): void {
  const [gone, still] = [inOne(undone), inOne(left)]
  if (undone.length > 0) tell('info', say`undone, left over from before: ${gone}`)
  if (left.length > 0)
    tell('warn', say`left over from before, not undone yet: ${still}; the next start of Naru tries again`)
}

const inOne = (texts: readonly Text[]): Text => listed(texts, '; ')
