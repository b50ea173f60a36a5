/** Where an engine listens, for people: `*:8000/tcp, *:8001/tcp, *:8002/tcp` is `*:8000-8002/tcp`. */
import { formatPortRange } from '../base/port.ts'

interface Row {
  readonly address: string
  readonly protocol: string
  readonly first: number
  last: number
}

/** @param listening `ADDRESS:PORT/PROTOCOL` each, or anything else, which stays as it is */
export function inRanges(listening: readonly string[]): string {
  const rows: (Row | string)[] = []
  const latest = new Map<string, Row>()
  for (const one of listening) {
    const [, address = '', digits, protocol = ''] = /^(.*):(\d{1,5})\/(\w+)$/.exec(one) ?? []
    const port = Number(digits)
    const row = latest.get(`${address}/${protocol}`)
    if (digits === undefined) rows.push(one)
    else if (row?.last === port - 1) row.last = port
    else {
      const begun = { address, protocol, first: port, last: port }
      latest.set(`${address}/${protocol}`, begun)
      rows.push(begun)
    }
  }
  return rows.map((row) => (typeof row === 'string' ? row : text(row))).join(', ')
}

const text = ({ address, protocol, ...ports }: Row): string =>
  `${address}:${formatPortRange(ports)}/${protocol}`
