/** The order in which to try a name's addresses, after Happy Eyeballs (RFC 8305 §4): families take turns. */
import { familyOf } from '../base/address.ts'

/** How long a dial stays alone before the next address is tried beside it (RFC 8305 §5). */
export const attemptDelayMs = 250

/** The family of the first address leads, each family keeps its own order. */
export function interleaved(addresses: readonly string[]): readonly string[] {
  const [first] = addresses
  if (first === undefined) return []
  const leading = addresses.filter((address) => familyOf(address) === familyOf(first))
  const other = addresses.filter((address) => familyOf(address) !== familyOf(first))
  const longest = Math.max(leading.length, other.length)
  return Array.from({ length: longest }, (_, at) => [leading[at], other[at]])
    .flat()
    .filter((address) => address !== undefined)
}
