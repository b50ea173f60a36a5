/** `naru stop`: ends the daemon, waits until it is gone, and says whether everything is undone. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { isNaruError, NaruError, toNaruError } from '../../base/errors.ts'
import { say, sayOf, type Text } from '../../base/text.ts'
import { openElsewhere } from '../print/rules.ts'
import { answering, gone } from '../stop-daemon.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'stop',
  summary: say('stop the daemon; everything is undone'),
  about: say(
    'Says "stopped" once the daemon is gone and its journal holds nothing; what could not be undone is named, with exit code 1. What a killed one left open is undone, too.',
  ),
  options: [{ name: 'drain', text: say('let connections finish first') }],
  examples: [{ command: 'naru stop --drain', text: say('connections finish first') }],
  json: say(
    '{stopped: true}; {stopped: false, undone} where nobody ran and what a killed one left was undone',
  ),
  async run(context) {
    const { deps, file, print, json } = context
    const found = await answering(deps, file).catch((error: unknown) => toNaruError(error))
    if (isNaruError(found, 'NOT_RUNNING')) return undoDead(found, context)
    if (found instanceof NaruError) throw found
    const { daemon, pid, itsFile } = found
    await daemon.stop({ drain: context.switched('drain') })
    if (!(await gone(daemon, pid, context.interrupt()))) {
      print.talk(say('not stopped yet: it goes on letting connections finish; `naru stop` ends it now'))
      return 1
    }
    await deps.mustBeUndone({ file: itsFile ?? file })
    if (json) print.json({ stopped: true })
    else print.talk(sayOf('Naru')('stopped'))
    return 0
  },
}

/** Nobody runs: what one that was killed left open is undone all the same. @throws NaruError NOT_RUNNING, NOT_UNDONE */
async function undoDead(nobody: NaruError, context: Context): Promise<ExitCode> {
  const { deps, file, print, json } = context
  const told: Text[] = []
  const signal = context.interrupt()
  await deps.undoLeftOvers({ signal, tell: (text) => void told.push(text) })
  if (told.length === 0) {
    const open = json ? [] : await deps.openElsewhere()
    if (open.length > 0) print.talk(openElsewhere(open.map(({ name }) => name)))
    throw nobody
  }
  if (!json) for (const text of told) print.talk(text)
  await deps.mustBeUndone({ file })
  if (json) print.json({ stopped: false, undone: told })
  return 0
}
