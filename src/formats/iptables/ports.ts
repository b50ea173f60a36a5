/** `80`, `8000:8100`, `:1023`, or several with commas, as iptables matches them. */

type Range = readonly [first: number, last: number]

/** Null where a part is no number, such as the name of a service. */
function rangesOf(ports: string): Range[] | null {
  const ranges: Range[] = []
  for (const part of ports.split(',')) {
    const [, first, colon, last] = /^(\d{0,5})(:?)(\d{0,5})$/.exec(part) ?? []
    if (first === undefined || (first === '' && colon === '')) return null
    ranges.push([Number(first), colon === '' ? Number(first) : Number(last === '' ? 65_535 : last)])
  }
  return ranges
}

/** May a port be in both? Also where that cannot be told. */
export function portsOverlap(a: string | null, b: string | null): boolean {
  return a === null || b === null || portsOfBoth(a, b) !== null
}

/** What is in both, null where nothing is; what cannot be told is no port that a rule could have. */
export function portsOfBoth(a: string, b: string): string | null {
  if (a === b) return a
  const [one, other] = [rangesOf(a), rangesOf(b)]
  if (one === null || other === null) return `(${a} ${b})`.replaceAll(',', ' ')
  const shared = one.flatMap(([first, last]) =>
    other.flatMap(([start, end]): Range[] => {
      const both: Range = [Math.max(first, start), Math.min(last, end)]
      return both[0] <= both[1] ? [both] : []
    }),
  )
  if (shared.length === 0) return null
  return shared.map(([first, last]) => (first === last ? `${first}` : `${first}:${last}`)).join(',')
}
