/** What killed Narus left behind, undone by whoever starts next. */
import { join } from 'node:path'
import { toNaruError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { abandoned, claim } from '../control/instance.ts'
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
    const instance = await claim(root, id, null)
    await forgetWord(instance.folder)
    const journal = await Journal.open(join(root, id, 'journal'))
    if (journal.damage) parts.log.warn({ instance: id }, damageText(journal.damage).en)
    const failed = await undoJournal(journal, parts, { signal })
    await journal.close()
    // What could not be undone is tried again by the next one that starts.
    if (failed === 0) await instance.release({ forget: journal.damage === null })
  } catch (error) {
    parts.log.warn({ instance: id }, `left over from before, not undone yet: ${toNaruError(error).message}`)
  }
}
