/** The firewalls we know, in the order they are asked: whoever manages the chains comes before the chains themselves. */
import type { FirewallMember, FirewallOptions } from './contract.ts'
import { firewalld } from './linux/firewalld.ts'
import { iptables } from './linux/iptables.ts'
import { nftables } from './linux/nftables.ts'
import { none } from './linux/none.ts'
import { ufw } from './linux/ufw.ts'
import { macos } from './macos/index.ts'
import { windows } from './windows/index.ts'

export const firewalls: readonly FirewallMember[] = [windows, macos, firewalld, ufw, nftables, iptables, none]

/**
 * The one that decides here. `none` where nothing filters.
 * @throws NaruError NOT_PERMITTED where only a privileged process may look
 */
export async function detectFirewall(
  options: FirewallOptions,
  members: readonly FirewallMember[] = firewalls,
): Promise<FirewallMember> {
  for (const member of members) if ((await member.detect(options)).ok) return member
  return none
}
