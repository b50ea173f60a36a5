/**
 * Every check, from the inside out as packets pass the hops backwards; among findings of one hop the earlier one
 * leads. Adding a check is one file and one line here.
 */
import { addressChanged } from './address-changed.ts'
import { addressFamily } from './address-family.ts'
import { addressGone } from './address-gone.ts'
import { asymmetricReturn } from './asymmetric-return.ts'
import { blockRule } from './block-rule.ts'
import { cannotDial } from './cannot-dial.ts'
import { carrierNat } from './carrier-nat.ts'
import { clientIsolation } from './client-isolation.ts'
import type { Check } from './contract.ts'
import { dnsStale } from './dns-stale.ts'
import { doubleNat } from './double-nat.ts'
import { externalPortTaken } from './external-port-taken.ts'
import { firewallProfile } from './firewall-profile.ts'
import { guestAway } from './guest-away.ts'
import { guestBridged } from './guest-bridged.ts'
import { guestFirewall } from './guest-firewall.ts'
import { guestForwardMissing } from './guest-forward-missing.ts'
import { guestUnseen } from './guest-unseen.ts'
import { hostFirewall } from './host-firewall.ts'
import { hypervFirewall } from './hyperv-firewall.ts'
import { loopbackOnly } from './loopback-only.ts'
import { machineSleeps } from './machine-sleeps.ts'
import { mappingLost } from './mapping-lost.ts'
import { mappingNotDone } from './mapping-not-done.ts'
import { natServiceStopped } from './nat-service-stopped.ts'
import { noGateway } from './no-gateway.ts'
import { noHairpin } from './no-hairpin.ts'
import { otherPortGranted } from './other-port-granted.ts'
import { openingLeft } from './opening-left.ts'
import { outsideSilent } from './outside-silent.ts'
import { pinholeMissing } from './pinhole-missing.ts'
import { portPrivileged } from './port-privileged.ts'
import { portSentOn } from './port-sent-on.ts'
import { portTaken } from './port-taken.ts'
import { providerBlocks } from './provider-blocks.ts'
import { relayNotOpen } from './relay-not-open.ts'
import { reservedRange } from './reserved-range.ts'
import { ruleLoop } from './rule-loop.ts'
import { routerAdminPort } from './router-admin-port.ts'
import { routerNoAddress } from './router-no-address.ts'
import { routerRefuses } from './router-refuses.ts'
import { routerSilent } from './router-silent.ts'
import { routerTableFull } from './router-table-full.ts'
import { securitySuite } from './security-suite.ts'
import { serviceDown } from './service-down.ts'
import { ssdpHidden } from './ssdp-hidden.ts'
import { vpnRoute } from './vpn-route.ts'
import { wrongProtocol } from './wrong-protocol.ts'

export const checks: readonly Check[] = [
  loopbackOnly,
  wrongProtocol,
  addressFamily,
  ruleLoop,
  serviceDown,
  guestUnseen,
  cannotDial,
  guestAway,
  guestFirewall,
  guestForwardMissing,
  natServiceStopped,
  guestBridged,
  addressGone,
  portTaken,
  reservedRange,
  portPrivileged,
  relayNotOpen,
  portSentOn,
  blockRule,
  hostFirewall,
  firewallProfile,
  openingLeft,
  securitySuite,
  hypervFirewall,
  ssdpHidden,
  noGateway,
  vpnRoute,
  clientIsolation,
  asymmetricReturn,
  routerSilent,
  routerRefuses,
  routerNoAddress,
  externalPortTaken,
  routerTableFull,
  otherPortGranted,
  mappingNotDone,
  mappingLost,
  addressChanged,
  routerAdminPort,
  doubleNat,
  pinholeMissing,
  noHairpin,
  carrierNat,
  providerBlocks,
  outsideSilent,
  dnsStale,
  machineSleeps,
]
