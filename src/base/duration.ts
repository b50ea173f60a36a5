/** Durations as people write them (`250ms`, `5s`, `5m`, `2h`, `1d`, `1h30m`) and as machines keep them: milliseconds. */
import { NaruError } from './errors.ts'
import { say } from './text.ts'

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
type Unit = keyof typeof unitMs

/** A whole number alone is seconds. @throws NaruError VALUE_INVALID @returns milliseconds, a finite whole number ≥ 0. */
export function parseDuration(text: string | number): number {
  const written = String(text).trim()
  if (/^\d{1,10}$/.test(written)) return Number(written) * 1000
  if (!/^(\d{1,10}(ms|s|m|h|d))+$/.test(written)) {
    throw new NaruError('VALUE_INVALID', {
      what: 'duration',
      value: written,
      why: say('write a number with ms, s, m, h or d, such as 30s, 5m or 1h30m'),
    })
  }
  let ms = 0
  for (const [, count, unit] of written.matchAll(/(\d{1,10})(ms|s|m|h|d)/g))
    ms += Number(count) * unitMs[unit as Unit]
  return ms
}

/** The shortest way to write it that `parseDuration` reads back: `5400000` → `1h30m`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0'
  let left = Math.round(ms)
  let written = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(left / unitMs[unit])
    if (count > 0) written += `${count}${unit}`
    left -= count * unitMs[unit]
  }
  return written
}
