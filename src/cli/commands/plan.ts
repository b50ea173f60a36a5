/** `naru plan`: what would be done for the file as it is now, and by whom. */
import { say, verbatim } from '../../base/text.ts'
import { printPlan } from '../print/plan.ts'
import { daemonOrFile } from '../connect.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'plan',
  summary: say('what would be done for the file as it is now, and by whom'),
  about: say(
    'Nothing is done. For a single change use --dry-run with open, add, edit, rm, enable or disable.',
  ),
  examples: [{ command: 'naru plan', text: say('the steps, inside out') }],
  json: verbatim('Plan: {steps, notes}'),
  async run(context) {
    const { naru } = await daemonOrFile(context)
    printPlan(await naru.plan(), context)
    return 0
  },
}
