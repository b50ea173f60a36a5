/**
 * How long a hypervisor may think. One that is silent, or ends while it is asked, is named, and never holds up the rest.
 */
import { withLimit } from '../../base/clock.ts'
import { errnoOf, isNaruError, NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { GuestKind } from '../../model/target.ts'

/** For questions. */
export const answerMs = 3000
/** For changes, which may restart a service. */
export const changeMs = 15_000

/**
 * Runs `ask` within `ms` ms. `where` names what was asked: a socket, an address, a command.
 * @throws NaruError GUEST_SILENT; GUEST_NOT_HERE where it hung up; what `ask` throws; the signal's reason where that
 * came first
 */
export async function answered<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  {
    kind,
    where,
    signal,
    ms = answerMs,
  }: { kind: GuestKind; where: string; signal: AbortSignal; ms?: number },
): Promise<T> {
  signal.throwIfAborted()
  const limit = withLimit(signal, ms)
  try {
    return await ask(limit)
  } catch (error) {
    if (signal.aborted) throw error
    if (limit.aborted || isNaruError(error, 'TIMED_OUT'))
      throw new NaruError('GUEST_SILENT', { kind, where, ms }, { cause: error })
    if (!isHangUp(error)) throw error
    const why = say`it hung up before it answered (${where})`
    throw new NaruError('GUEST_NOT_HERE', { kind, why }, { cause: error })
  }
}

/** What was asked ended the connection in order, without an answer. */
export class HungUp extends Error {}

/** A hypervisor that ends or restarts lets go of whoever asks it, wherever it was in its answer. */
function isHangUp(error: unknown): boolean {
  const errno = errnoOf(error)
  return error instanceof HungUp || errno === 'ECONNRESET' || errno === 'EPIPE'
}
