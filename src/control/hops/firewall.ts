/** The firewall hop: the one that decides on this machine lets the rule's port in, from the rule's clients only. */
import { NaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { Shared } from '../../base/shared.ts'
import { say, type Text } from '../../base/text.ts'
import type { FirewallMember, FirewallRequest } from '../../firewalls/contract.ts'
import type { Host } from '../../host/contract.ts'
import { mayAdministerNetwork } from '../../model/facts.ts'
import type { Rule } from '../../model/rule.ts'
import type { Support } from '../../model/support.ts'
import { keyOf, type Wanted } from './wanted.ts'

export interface FirewallTools {
  readonly host: Host
  readonly firewalls: readonly FirewallMember[]
}

/** Null where the rule does not ask for it. */
export async function wantFirewall(
  rule: Rule,
  tools: FirewallTools,
  signal: AbortSignal,
): Promise<Wanted | null> {
  const { listen } = rule
  if (rule.publish.firewall === 'off' || listen.kind !== 'inet') return null
  const { member, why } = await chooseFirewall(rule.publish.firewall, tools, signal)
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
    what: say(`let ${ports} in`, `${ports} 인바운드 허용`),
    why,
    needs: await needsFor(member, request, tools.host),
    key: keyOf(member?.id, request),
    replace: 'open-first',
    async open({ signal, record }) {
      if (!member) throw new NaruError('FIREWALL_UNFIT', { firewall: rule.publish.firewall, why })
      return member.open(request, { host: tools.host, signal, record })
    },
  }
}

const isWildcard = (address: string | null): boolean => address === '0.0.0.0' || address === '::'

/** The command that a person with rights would type, where this process has none. */
async function needsFor(
  member: FirewallMember | null,
  request: FirewallRequest,
  host: Host,
): Promise<Wanted['needs']> {
  const command = member?.byHand?.(request) ?? null
  if (command === null || mayAdministerNetwork(await host.facts())) return null
  return {
    text: say('changing the firewall needs a right', '방화벽을 바꾸려면 권한이 필요합니다'),
    command,
  }
}

/** `auto` is the first that says it decides here; a name is that one, if it says so too. */
export async function chooseFirewall(
  wish: string,
  { host, firewalls }: FirewallTools,
  signal: AbortSignal,
): Promise<{ member: FirewallMember | null; why: Text }> {
  const candidates = wish === 'auto' ? firewalls : firewalls.filter(({ id }) => id === wish)
  let no = say(`there is no firewall ${wish} here`, `${wish} 방화벽이 여기에는 없습니다`)
  for (const member of candidates) {
    const support = await detection(member, host).get(signal)
    if (support.ok) return { member, why: support.why }
    no = support.why
  }
  return { member: null, why: no }
}

/** Hundreds of rules ask the same of the machine at the same moment: each asks it by a program. */
function detection(member: FirewallMember, host: Host): Shared<Support> {
  const ofHost = detections.get(host) ?? new Map<FirewallMember, Shared<Support>>()
  detections.set(host, ofHost)
  const known = ofHost.get(member)
  if (known) return known
  const asked = new Shared(`the look at ${member.id}`, (signal) => member.detect({ host, signal }))
  ofHost.set(member, asked)
  return asked
}

const detections = new WeakMap<Host, Map<FirewallMember, Shared<Support>>>()
