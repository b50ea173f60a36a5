/** The firewall hop: the one that decides on this machine lets the rule's port in, from the rule's clients only. */
import { isNaruError, NaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { startWithRights } from '../../base/privilege.ts'
import { say } from '../../base/text.ts'
import type { FirewallMember, FirewallOptions, FirewallRequest } from '../../firewalls/contract.ts'
import { mayAdministerNetwork } from '../../model/facts.ts'
import type { Rule } from '../../model/rule.ts'
import { chooseFirewall, type FirewallTools } from '../../machine/choose-firewall.ts'
import { keyOf, type DesiredHop } from './desired.ts'

/** Null where the rule does not ask for it. */
export async function desireFirewall(
  rule: Rule,
  tools: FirewallTools,
  how: { readonly signal: AbortSignal; readonly asked?: number | undefined },
): Promise<DesiredHop | null> {
  const { listen } = rule
  if (rule.publish.firewall === 'off' || listen.kind !== 'inet') return null
  const { member, why } = await chooseFirewall(rule.publish.firewall, tools, how)
  const request = {
    rule: rule.name,
    protocols: listen.protocols,
    ports: listen.ports,
    // No packet comes to a wildcard.
    address: isWildcard(listen.address) ? null : listen.address,
    allow: rule.allow,
  }
  const ports = `${formatPortRange(listen.ports)}/${listen.protocols.join('+')}`
  return {
    hop: 'firewall',
    member: member?.id ?? null,
    what: say`let ${ports} in`,
    why,
    needs: await needsFor(member, request, { host: tools.host, signal: how.signal }),
    key: keyOf(member?.id, request),
    replace: 'open-first',
    waitsInLine: true,
    async open({ signal, record }) {
      if (!member) throw new NaruError('FIREWALL_UNFIT', { firewall: rule.publish.firewall, why })
      const options = { host: tools.host, signal }
      return member.open(request, { ...options, record }).catch(async (error: unknown) => {
        if (!isNaruError(error, 'NOT_PERMITTED')) throw error
        throw noRight(error, (await member.byHand?.(request, options)) ?? null)
      })
    },
  }
}

const isWildcard = (address: string | null): boolean => address === '0.0.0.0' || address === '::'

/** What a person opens by hand nobody undoes, and a start after it fails as before: so that is the second way. */
function noRight(error: NaruError, hand: string | null): NaruError {
  const what = error.params.what
  if (hand === null || what === undefined) return error
  return new NaruError('FIREWALL_NO_RIGHT', { what, command: startWithRights(), hand }, { cause: error })
}

/** How this process would have the right that it lacks. */
async function needsFor(
  member: FirewallMember | null,
  request: FirewallRequest,
  options: FirewallOptions,
): Promise<DesiredHop['needs']> {
  if (mayAdministerNetwork(await options.host.facts())) return null
  if (((await member?.byHand?.(request, options)) ?? null) === null) return null
  return {
    text: say('changing the firewall needs a right'),
    command: startWithRights(),
  }
}
