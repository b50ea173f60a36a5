/** `health`: how targets are asked whether they are up. */
import { formatDuration } from '../../base/duration.ts'
import { say } from '../../base/text.ts'
import { mapped, whole } from '../schema.ts'
import { group, type Inside } from './row.ts'
import { duration } from './shapes.ts'

const shortestMs = 100

export const health = group({
  every: {
    inside: 'everyMs',
    shape: mapped(duration, (ms) => Math.max(ms, shortestMs), formatDuration),
    doc: say('time between checks'),
    fallback: 5000,
    always: true,
    form: { place: 'health', label: say('Ask every'), hint: say('Empty: 5s') },
  },
  /** Successes in a row that bring a target up. */
  rise: {
    shape: whole(1, 100),
    doc: say('successes in a row that bring a target up'),
    fallback: 2,
    always: true,
    form: {
      place: 'health',
      label: say('Up after'),
      hint: say('So many answers in a row. Empty: 2'),
    },
  },
  /** Failures in a row that take it down. */
  fall: {
    shape: whole(1, 100),
    doc: say('failures in a row that take it down'),
    fallback: 3,
    always: true,
    form: {
      place: 'health',
      label: say('Down after'),
      hint: say('So many failures in a row. Empty: 3'),
    },
  },
})

export type Health = Inside<typeof health.rows>
