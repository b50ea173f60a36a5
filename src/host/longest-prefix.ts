/** The longest prefix that holds an address decides, the lowest metric among equals. */
import { addressBytes, familyOf, type Family } from '../base/address.ts'

export interface Prefixed {
  readonly family: Family
  readonly destination: string
  readonly bits: number
  readonly metric: number
}

export function longestPrefix<R extends Prefixed>(address: string, routes: readonly R[]): R | null {
  const bytes = addressBytes(address)
  const family = familyOf(address)
  const fitting = routes.filter((route) => route.family === family && holds(route, bytes))
  fitting.sort((a, b) => b.bits - a.bits || a.metric - b.metric)
  return fitting[0] ?? null
}

function holds({ destination, bits }: Prefixed, address: Uint8Array): boolean {
  const prefix = addressBytes(destination)
  for (let bit = 0; bit < bits; bit++) {
    const mask = 0x80 >> (bit & 7)
    if (((prefix[bit >> 3] ?? 0) & mask) !== ((address[bit >> 3] ?? 0) & mask)) return false
  }
  return true
}
