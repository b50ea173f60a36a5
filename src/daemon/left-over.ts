/** What killed Narus left behind, and what others could not undo, undone by whoever starts next. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toNaruError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { Scope } from '../base/scope.ts'
import { abandoned, claim, tokensPath } from '../control/instance.ts'
import { damageText, Journal } from '../control/journal.ts'
import type { Parts } from '../control/parts.ts'
import { undoJournal } from '../control/undo.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { forgetWord } from './foreground.ts'
import { gatherParts } from './rooms.ts'

/** @param except the instance that the caller is about to take over itself. */
export async function undoLeftOvers(
  root: string,
  options: { except: string | null; log: Log; signal: AbortSignal },
): Promise<void> {
  const ids = (await abandoned(root)).filter((id) => id !== options.except)
  if (ids.length === 0) return
  const parts = await gatherParts(createMemoryStore(), { log: options.log })
  for (const id of ids) await undoOne(root, id, parts, options.signal)
  for (const engine of parts.engines) await engine.close()
}

async function undoOne(root: string, id: string, parts: Parts, signal: AbortSignal): Promise<void> {
  try {
    await using scope = new Scope()
    const instance = await claim(root, id, null)
    // What could not be undone is tried again by the next one that starts; a daemon's log-in lives on beside its file.
    let forget = !existsSync(tokensPath(instance.folder))
    scope.defer(() => instance.release({ forget }))
    await forgetWord(instance.folder)
    const journal = await Journal.open(join(root, id, 'journal'))
    scope.defer(() => journal.close())
    if (journal.damage) parts.log.warn({ instance: id }, damageText(journal.damage).en)
    if (journal.damage) forget = false
    await undoJournal(journal, parts, { signal })
  } catch (error) {
    parts.log.warn({ instance: id }, `left over from before, not undone yet: ${toNaruError(error).message}`)
  }
}
