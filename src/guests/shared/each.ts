/** A list of guests, each looked at by itself: one that cannot be looked at is listed by its name, and hides no other. */
import { isNaruError } from '../../base/errors.ts'
import type { Guest } from '../contract.ts'

/** @param unseen what is known of one without looking at it. @throws the signal's reason; what is no NaruError */
export function lookAtEach<T>(
  all: readonly T[],
  look: (one: T) => Promise<Guest>,
  { unseen, signal }: { unseen: (one: T) => Guest; signal: AbortSignal },
): Promise<readonly Guest[]> {
  return Promise.all(
    all.map(async (one) => {
      try {
        return await look(one)
      } catch (error) {
        if (!isNaruError(error) || signal.aborted) throw error
        return unseen(one)
      }
    }),
  )
}
