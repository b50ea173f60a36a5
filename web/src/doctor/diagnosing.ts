/** A diagnosis as it goes on: each look as it starts and ends, the link for a phone, then the verdict. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { toNaruError, type NaruError } from '../../../src/base/errors.ts'
import type { CheckOutcome, Diagnosis, DoctorEvent } from '../../../src/model/diagnosis.ts'
import { machine } from '../state/naru.ts'

type Started = Extract<DoctorEvent, { type: 'started' }>
export type Outside = Extract<DoctorEvent, { type: 'outside' }>

export interface Look {
  readonly key: string
  readonly started: Pick<Started, 'hop' | 'rule' | 'title'>
  /** Null while it is looked at. */
  readonly outcome: CheckOutcome | null
}

export interface Diagnosing {
  readonly state: 'idle' | 'running' | 'done' | 'failed'
  readonly looks: readonly Look[]
  /** To be opened on the phone. */
  readonly url: string | null
  readonly outside: readonly Outside[]
  readonly diagnosis: Diagnosis | null
  readonly why: NaruError | null
}

export interface Wish {
  readonly about: string | null
  readonly mayAskInternet: boolean
  readonly fromPhone: boolean
}

const idle: Diagnosing = { state: 'idle', looks: [], url: null, outside: [], diagnosis: null, why: null }

export function useDiagnosis(): {
  readonly now: Diagnosing
  readonly start: (wish: Wish) => void
  readonly stop: () => void
} {
  const [now, setNow] = useState(idle)
  const asking = useRef<AbortController | null>(null)
  const stop = useCallback(() => {
    asking.current?.abort()
    setNow((before) => (before.state === 'running' ? idle : before))
  }, [])
  const start = useCallback(({ about, mayAskInternet, fromPhone }: Wish) => {
    asking.current?.abort()
    const { signal } = (asking.current = new AbortController())
    const change = (to: (before: Diagnosing) => Diagnosing): void => {
      if (!signal.aborted) setNow(to)
    }
    change(() => ({ ...idle, state: 'running' }))
    machine
      .diagnose({
        signal,
        mayAskInternet,
        fromPhone,
        ...(about !== null && { about }),
        onEvent: (event) => change((before) => after(before, event)),
      })
      .then(
        (diagnosis) => change((before) => ({ ...before, state: 'done', diagnosis, url: null })),
        (error: unknown) =>
          change((before) => ({ ...before, state: 'failed', why: toNaruError(error), url: null })),
      )
  }, [])
  useEffect(() => () => asking.current?.abort(), [])
  return { now, start, stop }
}

function after(before: Diagnosing, event: DoctorEvent): Diagnosing {
  switch (event.type) {
    case 'started':
      return { ...before, looks: [...before.looks, { key: keyOf(event), started: event, outcome: null }] }
    case 'finished': {
      const key = keyOf(event.outcome)
      return {
        ...before,
        looks: before.looks.map((look) => (look.key === key ? { ...look, outcome: event.outcome } : look)),
      }
    }
    case 'link':
      return { ...before, url: event.url }
    case 'outside':
      return { ...before, outside: [...before.outside, event], url: null }
  }
}

function keyOf({ code, rule }: { readonly code: string; readonly rule: string | null }): string {
  return `${code} ${rule ?? ''}`
}
