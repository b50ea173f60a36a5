/** What NAT lies above this machine, in one sentence, from the addresses that interface, routers and STUN tell. */
import { addressRange, isPublic } from '../base/address.ts'
import { say, type Text } from '../base/text.ts'
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
    text: say(
      `no NAT: ${address} is public and this machine’s own`,
      `NAT 없음: ${address}{은/는} 이 컴퓨터가 직접 가진 공인 주소입니다`,
    ),
  }
}

function oneRouter(wan: string): NatAnswer {
  return {
    nat: 'one-router',
    text: say(
      `one router: its outside address ${wan} is public`,
      `공유기 한 대: 바깥 주소 ${wan}{은/는} 공인 주소입니다`,
    ),
  }
}

function carrierGrade(address: string | undefined): NatAnswer {
  const en = address ? `: the address ${address} is from the shared space 100.64.0.0/10` : ''
  const ko = address ? `: 주소 ${address}{은/는} 공유 대역 100.64.0.0/10에 속합니다` : ''
  return {
    nat: 'carrier-grade',
    text: say(`the provider’s carrier-grade NAT${en}`, `통신사 NAT(CGNAT)${ko}`),
  }
}

function twoRouters(wan: string | undefined): NatAnswer {
  const en = wan ? `the nearest one’s outside address ${wan} is private` : 'a second NAT is above the nearest'
  const ko = wan
    ? `가까운 공유기의 바깥 주소 ${wan}{이/가} 사설 주소입니다`
    : '가까운 공유기 위에 NAT가 하나 더 있습니다'
  return { nat: 'two-routers', text: say(`two routers: ${en}`, `공유기 두 대: ${ko}`) }
}

function translatedFurtherUp(wan: string, stun: string): NatAnswer {
  return {
    nat: 'carrier-grade',
    text: say(
      `the provider translates once more: the router has ${wan}, the internet sees ${stun}`,
      `통신사가 주소를 한 번 더 변환합니다: 공유기 주소는 ${wan}, 인터넷에서 보이는 주소는 ${stun}입니다`,
    ),
  }
}

function unknown(own: readonly string[], stun: string | null): NatAnswer {
  const text =
    stun && !own.includes(stun)
      ? say(
          `at least one NAT: the internet sees ${stun}, and no router told its outside address`,
          `NAT가 하나 이상 있습니다: 인터넷에서 보이는 주소는 ${stun}이고, 바깥 주소를 알려 준 공유기는 없습니다`,
        )
      : say(
          'not known: this machine has no public address, and no router told its outside address',
          '알 수 없음: 이 컴퓨터에는 공인 주소가 없고, 바깥 주소를 알려 준 공유기도 없습니다',
        )
  return { nat: 'unknown', text }
}
