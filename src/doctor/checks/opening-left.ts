/** The host firewall lets a port in for a Naru that has forgotten it: a saved ruleset brought it back. */
import { say, verbatim } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

/** Named one by one, so that the page stays one. */
const mostNamed = 10

export const openingLeft = defineCheck({
  code: 'opening-left',
  hop: 'firewall',
  severity: 'warns',
  title: say('an opening of a Naru that has forgotten it'),
  explains: say(
    'Reads the firewall for rules with the tag of a Naru (`naru:RULE:…`) that no journal of this state folder has. A saved ruleset (netfilter-persistent, iptables-save, nft list ruleset) brings them back; those with the mark of this state folder are closed by the next start, the others may be another Naru’s: of another user, or in a container on this network.',
  ),
  remedy: say('remove it, unless another Naru holds it'),
  async look({ rule, look }) {
    if (rule !== null) return null
    const left = await look.unclaimed()
    if (left.length === 0) return null
    const ours = left.some(({ whose }) => whose !== 'unknown')
    return {
      ...(!ours && { severity: 'informs' as const }),
      evidence: left
        .slice(0, mostNamed)
        .map(({ text, whose }) =>
          whose === 'ours'
            ? say`${text}, of this state folder: the next start of Naru closes it`
            : verbatim(text),
        ),
      fixes: left.slice(0, mostNamed).map(({ command, whose }) => ({
        text: whose === 'unknown' ? say('if no other Naru holds it, remove it') : say('remove it'),
        command,
      })),
    }
  },
})
