/** The checks of one rule, all at once, each with its limit. One that fails or is late says so in its outcome. */
import { setMaxListeners } from 'node:events'
import { systemClock, type Clock } from '../base/clock.ts'
import { isNaruError, NaruError, toNaruError } from '../base/errors.ts'
import { orAborted } from '../base/single-flight.ts'
import type { CheckOutcome, DoctorEvent } from '../model/diagnosis.ts'
import type { Finding } from '../model/finding.ts'
import { told } from './advice.ts'
import type { Check, CheckSubject } from './checks/contract.ts'

/** Checks share readings, so none may end before the slowest one (a silent router, a guest that is off) is there. */
const defaultLimitMs = 11_000

export interface CheckOptions {
  readonly signal: AbortSignal
  readonly onEvent?: (event: DoctorEvent) => void
  /** Longest that a check may take. @default what the check says, else 11_000 */
  readonly limitMs?: number
}

export interface CheckRun {
  readonly findings: readonly Finding[]
  readonly outcome: CheckOutcome
}

/** All checks of one rule begin together, and each has its limit. */
export async function runChecks(
  checks: readonly Check[],
  subject: CheckSubject,
  clock: Clock,
  options: CheckOptions,
): Promise<CheckRun[]> {
  const limits = new Map<number, Limit>()
  const limitOf = (check: Check): Limit => {
    const ms = options.limitMs ?? check.limitMs ?? defaultLimitMs
    const limit = limits.get(ms) ?? new Limit(ms, options.signal)
    limits.set(ms, limit)
    return limit
  }
  try {
    return await Promise.all(checks.map((check) => runCheck(check, subject, clock, limitOf(check), options)))
  } finally {
    for (const limit of limits.values()) limit.end()
  }
}

/** The time of checks that begin together, with one signal for all of them: a rule has some forty. */
class Limit {
  readonly ms: number
  readonly signal: AbortSignal
  #late = new AbortController()
  readonly #timer: Disposable

  constructor(ms: number, outer: AbortSignal) {
    this.ms = ms
    this.signal = AbortSignal.any([outer, this.#late.signal])
    setMaxListeners(0, this.signal)
    this.#timer = systemClock.after(ms, () => this.#late.abort(tooLate))
  }

  get isOver(): boolean {
    return this.#late.signal.reason === tooLate
  }

  /** What a check left under way is called off. */
  end(): void {
    this.#timer[Symbol.dispose]()
    this.#late.abort(over)
  }
}

const tooLate = Symbol('too late')
const over = Symbol('over')

async function runCheck(
  check: Check,
  subject: CheckSubject,
  clock: Clock,
  limit: Limit,
  { onEvent }: CheckOptions,
): Promise<CheckRun> {
  const { code, hop, title } = check
  const rule = subject.rule?.name ?? null
  onEvent?.({ type: 'started', code, hop, rule, title })
  const began = clock.monotonic()
  let findings: readonly Finding[] = []
  let problem: NaruError | null = null
  try {
    // Ends also where the check itself does not heed its signal.
    findings = await orAborted(check.run(subject, { signal: limit.signal }), limit.signal, code)
  } catch (error) {
    problem = limit.isOver ? new NaruError('TIMED_OUT', { what: code, ms: limit.ms }) : toNaruError(error)
  }
  const outcome: CheckOutcome = {
    code,
    hop,
    rule,
    title,
    state: stateOf(findings, problem),
    problem: problem?.toJSON() ?? null,
    tookMs: Math.round(clock.monotonic() - began),
  }
  onEvent?.({ type: 'finished', outcome, findings: findings.map(told) })
  return { findings, outcome }
}

function stateOf(findings: readonly Finding[], problem: NaruError | null): CheckOutcome['state'] {
  if (problem) return isNaruError(problem, 'TIMED_OUT') ? 'timed-out' : 'failed'
  return findings.length > 0 ? 'found' : 'passed'
}
