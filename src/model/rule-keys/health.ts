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
    doc: say('time between checks', '검사 간격'),
    fallback: 5000,
    always: true,
    form: { place: 'health', label: say('Ask every', '검사 간격'), hint: say('Empty: 5s', '비우면 5s') },
  },
  /** Successes in a row that bring a target up. */
  rise: {
    shape: whole(1, 100),
    doc: say('successes in a row that bring a target up', '대상을 살리는 연속 성공 횟수'),
    fallback: 2,
    always: true,
    form: {
      place: 'health',
      label: say('Up after', '정상 판정'),
      hint: say('So many answers in a row. Empty: 2', '연속 성공 횟수. 비우면 2'),
    },
  },
  /** Failures in a row that take it down. */
  fall: {
    shape: whole(1, 100),
    doc: say('failures in a row that take it down', '대상을 내리는 연속 실패 횟수'),
    fallback: 3,
    always: true,
    form: {
      place: 'health',
      label: say('Down after', '고장 판정'),
      hint: say('So many failures in a row. Empty: 3', '연속 실패 횟수. 비우면 3'),
    },
  },
})

export type Health = Inside<typeof health.rows>
