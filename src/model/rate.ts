/** Bandwidth as network people write it, in decimal bits a second: `100mbit`, `1gbit`, `512kbit`. */
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'

const unitBits = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 } as const

/** @returns bytes a second, at least 1. @throws NaruError VALUE_INVALID */
export function parseBandwidth(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(bit|kbit|mbit|gbit)$/i.exec(text.trim())
  const bits = match
    ? Number(match[1]) * unitBits[(match[2] as string).toLowerCase() as keyof typeof unitBits]
    : 0
  if (bits < 8) {
    throw new NaruError('VALUE_INVALID', {
      what: 'bandwidth',
      value: text,
      why: say('write bits a second with bit, kbit, mbit or gbit, such as 100mbit'),
    })
  }
  return Math.floor(bits / 8)
}

export function formatBandwidth(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8
  const unit =
    bits >= 1e9 && bits % 1e6 === 0
      ? 'gbit'
      : bits >= 1e6 && bits % 1e3 === 0
        ? 'mbit'
        : bits >= 1e3
          ? 'kbit'
          : 'bit'
  return `${bits / unitBits[unit]}${unit}`
}
