/** The rule leads to others of this machine that lead back to it: nothing behind any of them is ever reached. */
import { say, sayOf } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

export const ruleLoop = defineCheck({
  code: 'rule-loop',
  hop: 'service',
  title: say('the rule leads back to itself by way of others'),
  explains: say(
    'Follows the rule’s targets through the rules that listen where they lead, port by port. A connection that goes round is ended after eight crossings, with the reason `loop`.',
  ),
  remedy: say('aim one of them at the service itself'),
  cheap: true,
  async look({ rule, look }) {
    const way = await look.wayRound()
    if (way === null) return null
    const shown = wayText([...way, way[0] as string])
    return {
      evidence: [
        say`${shown}: these rules lead to each other, and a connection is ended after eight crossings`,
      ],
      fixes: [
        {
          text: sayOf('targets')('aim one of them at the service itself'),
          command: `naru edit ${rule?.name ?? 'NAME'} --target HOST:PORT`,
        },
      ],
    }
  },
})

/** Of a long way its beginning and its end. */
function wayText(names: readonly string[]): string {
  const shown = names.length > 12 ? [...names.slice(0, 10), '…', ...names.slice(-1)] : names
  return shown.join(' → ')
}
