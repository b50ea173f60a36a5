/** Shapes that several keys share. */
import { formatCidr, parseCidr } from '../../base/address.ts'
import { formatDuration, parseDuration } from '../../base/duration.ts'
import type { Json } from '../hop.ts'
import { listOf, whole, written } from '../schema.ts'

/** Milliseconds inside. */
export const duration = written(parseDuration, { examples: ['30s', '5m', '2h'] }, formatDuration)

export const cidrs = listOf(written(parseCidr, { examples: ['192.168.0.0/16'] }, formatCidr), {
  most: 10_000,
})

export const count = whole(1, 10_000_000)

/** `8888` is written as the number it is. */
export function numeric(text: string): Json {
  return /^\d+$/.test(text) ? Number(text) : text
}
