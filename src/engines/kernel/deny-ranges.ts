/**
 * Allow and deny lists as the kernel can hold them: disjoint ranges of sources that are turned away. The longest
 * prefix that holds the client decides, deny on a tie; a client in no prefix comes in only where nothing is allowed.
 */
import { addressBytes, addressFromBytes, type Cidr, type Family } from '../../base/address.ts'

/** First and last address, both turned away. */
export type SourceRange = readonly [first: string, last: string]

interface Span {
  readonly first: bigint
  readonly last: bigint
  readonly denied: boolean
}

/** In rising order; empty where everybody may come in. */
export function denyRanges(allow: readonly Cidr[], deny: readonly Cidr[], family: Family): SourceRange[] {
  if (allow.length + deny.length === 0) return []
  const everyone: Span = {
    first: 0n,
    last: (1n << BigInt(family === 4 ? 32 : 128)) - 1n,
    denied: allow.length > 0,
  }
  const spans = [
    ...allow.filter((cidr) => cidr.family === family).map((cidr) => spanOf(cidr, false)),
    ...deny.filter((cidr) => cidr.family === family).map((cidr) => spanOf(cidr, true)),
  ]
  // Outer prefixes first, so that an inner one paints over them; on a tie deny is painted last.
  spans.sort((a, b) => Number(size(b) - size(a) > 0n) - Number(size(b) - size(a) < 0n) || (a.denied ? 1 : -1))
  return paint(everyone, spans)
    .filter(({ denied }) => denied)
    .map(({ first, last }) => [textOf(first, family), textOf(last, family)])
}

const size = ({ first, last }: Span): bigint => last - first

/** Cuts the line at every edge and gives each piece the word of the last span over it. */
function paint(ground: Span, spans: readonly Span[]): Span[] {
  const edges = new Set([ground.first, ground.last + 1n])
  for (const { first, last } of spans) edges.add(first).add(last + 1n)
  const cuts = [...edges].sort((a, b) => (a < b ? -1 : 1))
  const pieces: { first: bigint; last: bigint; denied: boolean }[] = []
  for (const [index, first] of cuts.entries()) {
    const next = cuts[index + 1]
    if (next === undefined) break
    const over = spans.findLast((span) => span.first <= first && first <= span.last) ?? ground
    const before = pieces.at(-1)
    if (before?.denied === over.denied) before.last = next - 1n
    else pieces.push({ first, last: next - 1n, denied: over.denied })
  }
  return pieces
}

function spanOf({ family, address, bits }: Cidr, denied: boolean): Span {
  const first = numberOf(address)
  return { first, last: first + (1n << BigInt((family === 4 ? 32 : 128) - bits)) - 1n, denied }
}

function numberOf(address: string): bigint {
  return addressBytes(address).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
}

function textOf(value: bigint, family: Family): string {
  const bytes = new Uint8Array(family === 4 ? 4 : 16)
  for (let index = bytes.length - 1; index >= 0; index--, value >>= 8n) bytes[index] = Number(value & 255n)
  return addressFromBytes(bytes)
}
