/** Where a line of the nat table sends who comes: the target as iptables writes it, and the ports as the kernel chooses them. */
import type { Family } from '../../base/address.ts'
import type { IptablesRule } from './parse.ts'

export interface Goal {
  readonly host: string
  /** `80`, `9000-9100`, or null where the port stays. */
  readonly ports: string | null
  /** The first port of the listen that `ports` begins with (`…/8000`). */
  readonly base: number | null
  readonly random: boolean
  readonly here: boolean
}

/**
 * `10.0.0.2`, `10.0.0.2:80`, `[fd00::2]:80`, `10.0.0.2:9000-9100/8000`; of REDIRECT ports alone: this machine, at the
 * address that was asked for.
 */
export function goalOf({ target, to, text }: IptablesRule, family: Family, address = ''): Goal | null {
  const random = /\s--random\b/.test(text)
  if (target === 'REDIRECT') {
    const here = address !== '' && !isEvery(address) ? address : family === 6 ? '::1' : '127.0.0.1'
    return /^\d+(?:-\d+)?$/.test(to ?? '') || to === null
      ? { host: here, ports: to, base: null, random, here: true }
      : null
  }
  const [, six, four, ports = null, base] =
    /^(?:\[([\da-f:.]+)\]|([\d.]+|[\da-f]*:[\da-f:]+(?=$)))(?::(\d+(?:-\d+)?)(?:\/(\d+))?)?$/i.exec(
      to ?? '',
    ) ?? []
  const host = six ?? four
  if (host === undefined) return null
  return {
    host,
    ports,
    base: base === undefined ? null : Number(base),
    random,
    here: host === address || isLoopback(host),
  }
}

/**
 * Where the kernel leads ports to, as `nf_nat_l4proto_unique_tuple` chooses: with a base by the distance from it, round
 * and round; else what is in the range stays, and all others go to its first. Null where that is no range of ports in
 * their order.
 */
export function targetPorts(listen: string, { ports, base, random }: Goal): string | null {
  if (ports === null) return listen
  const [first = 0, last = first] = listen.split('-').map(Number)
  const [start = 0, end = start] = ports.split('-').map(Number)
  if (start === end) return String(start)
  if (random || start > end) return null
  const written = (from: number): string => (first === last ? String(from) : `${from}-${from + last - first}`)
  if (base !== null) {
    const size = end - start + 1
    const from = start + (((first - base) & 0xff_ff) % size)
    const isRound = from + last - first > end || (first < base && last >= base)
    return isRound ? null : written(from)
  }
  if (start <= first && last <= end) return listen
  return last < start || first > end ? String(start) : null
}

export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

export function isEvery(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}
