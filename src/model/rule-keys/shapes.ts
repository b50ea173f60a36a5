/** Shapes that several keys share. */
import { formatCidr, parseCidr } from '../../base/address.ts'
import { formatDuration, parseDuration } from '../../base/duration.ts'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Json } from '../hop.ts'
import { listOf, whole, written } from '../schema.ts'

/** Milliseconds inside. */
export const duration = written(parseDuration, { examples: ['30s', '5m', '2h'] }, formatDuration)

/** The same for what no time would end before it begins. */
export const someTime = written(parseSomeTime, { examples: ['30s', '5m', '2h'] }, formatDuration)

function parseSomeTime(text: string): number {
  const ms = parseDuration(text)
  if (ms > 0) return ms
  const why = say('nothing is done within no time; leave it out for the usual time')
  throw new NaruError('VALUE_INVALID', { what: 'duration', value: text, why })
}

export const cidrs = listOf(written(parseCidr, { examples: ['192.168.0.0/16'] }, formatCidr), {
  most: 10_000,
})

export const count = whole(1, 10_000_000)

/** `8888` is written as the number it is. */
export function numeric(text: string): Json {
  return /^\d+$/.test(text) ? Number(text) : text
}
