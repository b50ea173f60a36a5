/** Numbers as people read them: bytes, rates, and how long. */
import type { Words } from './en.ts'

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** `1.2 MB`: three figures at most, in steps of 1000. */
export function bytesText(bytes: number): string {
  let value = Math.max(0, bytes)
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${units[unit]}`
}

export function rateText(bytesPerSecond: number): string {
  return `${bytesText(Math.round(bytesPerSecond))}/s`
}

/** `45 s`, `12 min`, `1 h 58 min`, `3 d`: the two largest parts at most; Korean counts without a space. */
export function durationText(ms: number, { units: u }: Words): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds}${u.second}`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}${u.minute}`
  const hours = Math.floor(minutes / 60)
  if (hours < 24)
    return minutes % 60 === 0 ? `${hours}${u.hour}` : `${hours}${u.hour} ${minutes % 60}${u.minute}`
  const days = Math.floor(hours / 24)
  return hours % 24 === 0 ? `${days}${u.day}` : `${days}${u.day} ${hours % 24}${u.hour}`
}
