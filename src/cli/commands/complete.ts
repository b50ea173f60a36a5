/** `naru complete -- WORDS`: what the shell's script asks on Tab. The last word is the one being typed. */
import { pause } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import { completions } from '../completions.ts'
import type { Verb } from '../verb.ts'

/** A shell waits on Tab: names of rules must come at once or not at all. */
const patienceMs = 300

export const verb: Verb = {
  name: 'complete',
  hidden: true,
  summary: say('answers the completion script'),
  arguments: [{ name: 'WORDS', text: say('as typed'), many: true, optional: true }],
  async run(context) {
    const answer = await completions(context.args('WORDS'), await context.verbs(), context.language, () =>
      namesOf(context),
    )
    for (const { word, text } of answer.words) context.print.data(`${word}\t${text}`)
    context.print.data(`:${answer.files ? 'files' : 'words'}`)
    return 0
  },
}

async function namesOf({ deps, file }: Parameters<NonNullable<Verb['run']>>[0]): Promise<readonly string[]> {
  const ask = async (): Promise<readonly string[]> => {
    const daemon = await deps.connect({ file })
    return (await daemon.rules.list()).map(({ name }) => name)
  }
  const late = pause(patienceMs).then((): readonly string[] => [])
  return Promise.race([ask().catch(() => []), late])
}
