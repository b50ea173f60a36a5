/** Which firewall decides on this machine: asked of the members, once for all who want to know at the same time. */
import { Latest } from '../base/latest.ts'
import { neverAborted } from '../base/on-abort.ts'
import { say, type Text } from '../base/text.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { Host } from '../host/contract.ts'
import type { Support } from '../model/support.ts'

export interface FirewallTools {
  readonly host: Host
  readonly firewalls: readonly FirewallMember[]
}

/**
 * `auto` is the first that says it decides here; a name is that one, if it says so too.
 * @param asked an answer that was begun later will do, of `performance.now()`. @default now
 */
export async function chooseFirewall(
  wish: string,
  { host, firewalls }: FirewallTools,
  { signal, asked }: { readonly signal: AbortSignal; readonly asked?: number | undefined },
): Promise<{ member: FirewallMember | null; why: Text }> {
  const candidates = wish === 'auto' ? firewalls : firewalls.filter(({ id }) => id === wish)
  let no = say`there is no firewall ${wish} here`
  for (const member of candidates) {
    const support = await detection(member, host).getUntil(signal, `the look at ${member.id}`, asked)
    if (support.ok) return { member, why: support.why }
    no = support.why
  }
  return { member: null, why: no }
}

/** Hundreds of rules ask the same of the machine at the same moment: each asks it by a program. */
function detection(member: FirewallMember, host: Host): Latest<Support> {
  const ofHost = detections.get(host) ?? new Map<FirewallMember, Latest<Support>>()
  detections.set(host, ofHost)
  const known = ofHost.get(member)
  if (known) return known
  const looks = new Latest(() => member.detect({ host, signal: neverAborted }), keptMs)
  ofHost.set(member, looks)
  return looks
}

/** Ten thousand rules that are brought together are through by then. */
const keptMs = 60_000

const detections = new WeakMap<Host, Map<FirewallMember, Latest<Support>>>()
