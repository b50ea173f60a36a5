/** `80`, `8000:8100`, `:1023`, or several with commas, as iptables matches them. */

type Range = readonly [first: number, last: number]

/** What was read of a text before: a line is held against every port. */
const known = new Map<string, Range[] | null>()
const mostKnown = 50_000

function rangesOf(ports: string): Range[] | null {
  const before = known.get(ports)
  if (before !== undefined) return before
  if (known.size >= mostKnown) known.clear()
  const ranges = readRanges(ports)
  known.set(ports, ranges)
  return ranges
}

/** Null where a part is no number, such as the name of a service. */
function readRanges(ports: string): Range[] | null {
  const ranges: Range[] = []
  for (const part of ports.split(',')) {
    const [, first, colon, last] = /^(\d{0,5})(:?)(\d{0,5})$/.exec(part) ?? []
    if (first === undefined || (first === '' && colon === '')) return null
    ranges.push([Number(first), colon === '' ? Number(first) : Number(last === '' ? 65_535 : last)])
  }
  return ranges
}

/** Are all these ports among those, none, or some? Also `maybe` where that cannot be told. */
export function portsWithin(ports: string, among: string): 'yes' | 'maybe' | 'no' {
  if (ports === among) return 'yes'
  const [some, those] = [rangesOf(ports), rangesOf(among)]
  if (some === null || those === null) return 'maybe'
  const isWithin = ([first, last]: Range): boolean =>
    those.some(([start, end]) => start <= first && last <= end)
  if (some.every(isWithin)) return 'yes'
  return some.some(([first, last]) => those.some(([start, end]) => start <= last && first <= end))
    ? 'maybe'
    : 'no'
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
