/** Something asked of the daemon once, and again on demand: what it answered, or why not. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { toNaruError, type NaruError } from '../../../src/base/errors.ts'

export type Asked<T> = { readonly again: () => void; readonly busy: boolean } & (
  | { readonly state: 'waiting' }
  | { readonly state: 'here'; readonly value: T }
  | { readonly state: 'failed'; readonly why: NaruError }
)

type Known<T> = { state: 'waiting' } | { state: 'here'; value: T } | { state: 'failed'; why: NaruError }

/** What was known stays in sight while it is asked again. `ask` must not change from one drawing to the next. */
export function useAsked<T>(ask: (signal: AbortSignal) => Promise<T>): Asked<T> {
  const [known, setKnown] = useState<Known<T>>({ state: 'waiting' })
  const [busy, setBusy] = useState(true)
  const asking = useRef(new AbortController())
  const again = useCallback(() => {
    asking.current.abort()
    const { signal } = (asking.current = new AbortController())
    setBusy(true)
    const take = (next: Known<T>): void => {
      if (signal.aborted) return
      setKnown(next)
      setBusy(false)
    }
    ask(signal).then(
      (value) => take({ state: 'here', value }),
      (error: unknown) => take({ state: 'failed', why: toNaruError(error) }),
    )
  }, [ask])
  useEffect(() => {
    again()
    return () => asking.current.abort()
  }, [again])
  return { ...known, again, busy }
}
