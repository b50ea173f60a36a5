/**
 * What a program inside a guest reports is every interface it has: those of its own containers and VPNs lead nowhere from
 * here. An address counts where it is on a card that the hypervisor gave the guest, told by the card's MAC.
 */
export interface Reported {
  readonly address: string
  /** In any spelling; null where the report does not tell. */
  readonly mac: string | null
}

/** Those on one of these cards; all, where no MAC of the report is a card's (a guest may set its own). IPv4 first. */
export function onCards(reported: readonly Reported[], macs: readonly string[]): readonly string[] {
  const known = new Set(macs.map(plain).filter(Boolean))
  const ofCards = reported.filter(({ mac }) => mac !== null && known.has(plain(mac)))
  const addresses = (ofCards.length > 0 ? ofCards : reported).map(({ address }) => address)
  return [...addresses.filter((one) => !one.includes(':')), ...addresses.filter((one) => one.includes(':'))]
}

/** `52:54:00:9a:1b:2c`, `5254009A1B2C`. */
function plain(mac: string): string {
  return mac.replace(/[^\da-f]/gi, '').toLowerCase()
}
