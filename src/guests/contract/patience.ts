/** How long a hypervisor may think. One that is silent is named, and never holds up the rest. */
import { withLimit } from '../../base/clock.ts'
import { isNaruError, NaruError } from '../../base/errors.ts'
import type { GuestKind } from '../../model/target.ts'

/** For questions. */
export const answerMs = 3000
/** For changes, which may restart a service. */
export const changeMs = 15_000

/**
 * Runs `ask` within `ms` ms. `where` names what was asked: a socket, an address, a command.
 * @throws NaruError GUEST_SILENT; what `ask` throws; the signal's reason where that came first
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
    throw error
  }
}
