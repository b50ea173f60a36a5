/** Which firewall decides on this machine: asked of the members, once for all who want to know at the same time. */
import { SingleFlight } from '../base/single-flight.ts'
import { say, type Text } from '../base/text.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { Host } from '../host/contract.ts'
import type { Support } from '../model/support.ts'

export interface FirewallTools {
  readonly host: Host
  readonly firewalls: readonly FirewallMember[]
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
function detection(member: FirewallMember, host: Host): SingleFlight<Support> {
  const ofHost = detections.get(host) ?? new Map<FirewallMember, SingleFlight<Support>>()
  detections.set(host, ofHost)
  const known = ofHost.get(member)
  if (known) return known
  const asked = new SingleFlight(`the look at ${member.id}`, (signal) => member.detect({ host, signal }))
  ofHost.set(member, asked)
  return asked
}

const detections = new WeakMap<Host, Map<FirewallMember, SingleFlight<Support>>>()
