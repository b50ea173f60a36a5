/** `naru reload`: re-reads the file now, as SIGHUP does. */
import { say } from '../../base/text.ts'
import { exitOf, resultJson } from '../change.ts'
import { printProblem } from '../print/errors.ts'
import { planLines } from '../print/plan.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'reload',
  summary: say('re-read the file now'),
  examples: [{ command: 'naru reload', text: say('as SIGHUP does') }],
  json: resultJson,
  async run({ deps, file, print, json }) {
    const daemon = await deps.connect({ file })
    const result = await daemon.reload()
    if (json) print.json(result)
    else {
      const steps = result.plan.steps.filter(({ action }) => action !== 'keep')
      for (const line of planLines({ ...result.plan, steps }, print)) print.data(line)
      for (const failure of result.failures) printProblem(failure, print)
    }
    return exitOf(result)
  },
}
