/** What NAT lies above this machine, in one sentence, from the addresses that interface, routers and STUN tell. */
import { addressRange, isPublic } from '../base/address.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import type { NatAbove } from './machine.ts'

export interface NatEvidence {
  /** Our IPv4 addresses on the interface that faces the LAN. */
  readonly own: readonly string[]
  readonly routers: readonly {
    readonly externalAddress: string | null
    readonly above: 'public' | 'nat' | 'carrier-grade-nat' | 'unknown'
  }[]
  /** Null where it was not asked or did not answer. */
  readonly stun: string | null
}

export interface NatAnswer {
  readonly nat: NatAbove
  readonly text: Text
}

/** The worst that the evidence shows: carrier-grade before a second router before one. */
export function natAbove({ own, routers, stun }: NatEvidence): NatAnswer {
  const seen = own.find((address) => isPublic(address))
  if (seen && (stun === null || own.includes(stun))) return noNat(seen)
  const wans = routers.flatMap(({ externalAddress }) => (externalAddress ? [externalAddress] : []))
  const carrier = [...own, ...wans].find(isCarrierGrade)
  if (carrier || routers.some(({ above }) => above === 'carrier-grade-nat')) return carrierGrade(carrier)
  const hidden = wans.find((wan) => !isPublic(wan))
  if (hidden || routers.some(({ above }) => above === 'nat')) return twoRouters(hidden)
  const wan = wans[0]
  if (wan === undefined) return unknown(own, stun)
  return stun !== null && stun !== wan ? translatedFurtherUp(wan, stun) : oneRouter(wan)
}

function isCarrierGrade(address: string): boolean {
  return addressRange(address) === 'carrierGradeNat'
}

function noNat(address: string): NatAnswer {
  return {
    nat: 'none',
    text: say`no NAT: ${address} is public and this machine’s own`,
  }
}

function oneRouter(wan: string): NatAnswer {
  return {
    nat: 'one-router',
    text: say`one router: its outside address ${wan} is public`,
  }
}

function carrierGrade(address: string | undefined): NatAnswer {
  const because = address
    ? say`: the address ${address} is from the shared space 100.64.0.0/10`
    : verbatim('')
  return {
    nat: 'carrier-grade',
    text: say`the provider’s carrier-grade NAT${because}`,
  }
}

function twoRouters(wan: string | undefined): NatAnswer {
  const why = wan
    ? say`the nearest one’s outside address ${wan} is private`
    : say('a second NAT is above the nearest')
  return { nat: 'two-routers', text: say`two routers: ${why}` }
}

function translatedFurtherUp(wan: string, stun: string): NatAnswer {
  return {
    nat: 'carrier-grade',
    text: say`the provider translates once more: the router has ${wan}, the internet sees ${stun}`,
  }
}

function unknown(own: readonly string[], stun: string | null): NatAnswer {
  const text =
    stun && !own.includes(stun)
      ? say`at least one NAT: the internet sees ${stun}, and no router told its outside address`
      : say('not known: this machine has no public IPv4 address, and no router told its outside address')
  return { nat: 'unknown', text }
}
