/** A diagnosis as it goes on: each look as it starts and ends, the link for a phone, then the verdict. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { toNaruError, type NaruError } from '../../../src/base/errors.ts'
import type { CheckOutcome, Diagnosis, DoctorEvent } from '../../../src/model/diagnosis.ts'
import { machine } from '../state/naru.ts'

type Started = Extract<DoctorEvent, { type: 'started' }>
export type Outside = Extract<DoctorEvent, { type: 'outside' }>

export interface DiagnosisLook {
  readonly key: string
  readonly started: Pick<Started, 'hop' | 'rule' | 'title'>
  /** Null while it is looked at. */
  readonly outcome: CheckOutcome | null
}

export interface Diagnosing {
  readonly state: 'idle' | 'running' | 'done' | 'failed'
  /** All of them, in the order they began. */
  readonly looks: readonly DiagnosisLook[]
  /** To be opened on the phone. */
  readonly url: string | null
  readonly outside: readonly Outside[]
  readonly diagnosis: Diagnosis | null
  readonly why: NaruError | null
}

export interface DiagnosisWish {
  readonly about: string | null
  readonly mayAskInternet: boolean
  readonly fromPhone: boolean
}

const idle: Diagnosing = { state: 'idle', looks: [], url: null, outside: [], diagnosis: null, why: null }

export function useDiagnosis(): {
  readonly now: Diagnosing
  readonly start: (wish: DiagnosisWish) => void
  readonly stop: () => void
} {
  const [now, setNow] = useState(idle)
  const asking = useRef<AbortController | null>(null)
  const stop = useCallback(() => {
    asking.current?.abort()
    setNow((before) => (before.state === 'running' ? idle : before))
  }, [])
  const start = useCallback(({ about, mayAskInternet, fromPhone }: DiagnosisWish) => {
    asking.current?.abort()
    const { signal } = (asking.current = new AbortController())
    const change = (to: (before: Diagnosing) => Diagnosing): void => {
      if (!signal.aborted) setNow(to)
    }
    change(() => ({ ...idle, state: 'running' }))
    const looks = new LooksSoFar((all) => change((before) => ({ ...before, looks: all })))
    machine
      .diagnose({
        signal,
        mayAskInternet,
        fromPhone,
        ...(about !== null && { about }),
        onEvent: (event) => {
          if (event.type === 'started' || event.type === 'finished') looks.take(event)
          else change((before) => after(before, event))
        },
      })
      .finally(() => looks.show())
      .then(
        (diagnosis) =>
          change((before) => ({ ...before, state: 'done', diagnosis, looks: looksOf(diagnosis), url: null })),
        (error: unknown) =>
          change((before) => ({ ...before, state: 'failed', why: toNaruError(error), url: null })),
      )
  }, [])
  useEffect(() => () => asking.current?.abort(), [])
  return { now, start, stop }
}

/** Those that are listed, also where they were not told as they ended. */
function looksOf({ checks }: Diagnosis): readonly DiagnosisLook[] {
  return checks.map((outcome) => ({ key: keyOf(outcome), started: outcome, outcome }))
}

/** Thousands begin and end in a few seconds: they are shown a few times a second. */
const showEveryMs = 200

class LooksSoFar {
  readonly #looks = new Map<string, DiagnosisLook>()
  readonly #onChange: (looks: readonly DiagnosisLook[]) => void
  #timer: ReturnType<typeof setTimeout> | null = null

  constructor(onChange: (looks: readonly DiagnosisLook[]) => void) {
    this.#onChange = onChange
  }

  take(event: Extract<DoctorEvent, { type: 'started' | 'finished' }>): void {
    if (event.type === 'started') {
      const key = keyOf(event)
      this.#looks.set(key, { key, started: event, outcome: null })
    } else {
      const key = keyOf(event.outcome)
      const look = this.#looks.get(key)
      if (look) this.#looks.set(key, { ...look, outcome: event.outcome })
    }
    this.#timer ??= setTimeout(() => this.show(), showEveryMs)
  }

  show(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#onChange([...this.#looks.values()])
  }
}

function after(before: Diagnosing, event: Extract<DoctorEvent, { type: 'link' | 'outside' }>): Diagnosing {
  return event.type === 'link'
    ? { ...before, url: event.url }
    : { ...before, outside: [...before.outside, event], url: null }
}

function keyOf({ code, rule }: { readonly code: string; readonly rule: string | null }): string {
  return `${code} ${rule ?? ''}`
}
