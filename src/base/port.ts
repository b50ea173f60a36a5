/** Ports: 16 bits, of which 0 is never a place to listen (RFC 6335 §6). */
import { NaruError } from './errors.ts'
import { say } from './text.ts'

export type Protocol = 'tcp' | 'udp'

/** An inclusive range of ports; a single port has `first === last`. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** Ports 0–1023 are assigned to system services (RFC 6335 §6). */
export const lastWellKnownPort = 1023

/** @throws NaruError VALUE_INVALID unless `text` is a decimal number from 1 to 65535. */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port >= 1 && port <= 65_535)) {
    throw new NaruError('VALUE_INVALID', {
      what: 'port',
      value: text,
      why: say('a port is a number from 1 to 65535'),
    })
  }
  return port
}

/** `8000` or `8000-8100`. @throws NaruError VALUE_INVALID also where the range runs backwards. */
export function parsePortRange(text: string): PortRange {
  const [from = '', to, ...rest] = text.split('-')
  if (rest.length > 0) {
    throw new NaruError('VALUE_INVALID', {
      what: 'port range',
      value: text,
      why: say('write FIRST-LAST, such as 8000-8100'),
    })
  }
  const first = parsePort(from)
  const last = to === undefined ? first : parsePort(to)
  if (last < first) {
    throw new NaruError('VALUE_INVALID', {
      what: 'port range',
      value: text,
      why: say`it runs backwards; did you mean ${last}-${first}?`,
    })
  }
  return { first, last }
}

export function formatPortRange({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}-${last}`
}

export function portCount({ first, last }: PortRange): number {
  return last - first + 1
}

/** One after the other, first to last. */
export function everyPort({ first, last }: PortRange): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at)
}

export function portsOverlap(a: PortRange, b: PortRange): boolean {
  return a.first <= b.last && b.first <= a.last
}

export function isWellKnown({ first }: PortRange): boolean {
  return first <= lastWellKnownPort
}
