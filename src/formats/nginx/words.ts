/** Words of nginx's configuration that reading and writing share. */
import { say } from '../../base/text.ts'

/** We write it for "never", which `proxy_timeout` cannot say. */
export const neverMs = 24 * 86_400_000

export const noSuch = say('there is no such setting here')

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `10m`, `1h30m`, `500ms`; seconds without a unit. Null where it is no time. */
export function timeOf(text: string | undefined): number | null {
  if (text === undefined || !/^(?:\d{1,8}|(?:\d{1,8}(?:ms|[smhd]))+)$/.test(text)) return null
  let ms = 0
  for (const [, count, unit = 's'] of text.matchAll(/(\d+)(ms|[smhd])?/g))
    ms += Number(count) * units[unit as keyof typeof units]
  return ms
}
