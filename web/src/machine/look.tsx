/** The frame of each look: what was found, how to look again, and what went wrong. */
import type { ReactNode } from 'react'
import type { Asked } from '../parts/ask.ts'
import { Failure } from '../parts/failure.tsx'
import { useWords } from '../words/index.ts'

export interface LookProps<T> {
  readonly title: string
  readonly asked: Asked<T>
  readonly children: (value: T) => ReactNode
}

export function Look<T>({ title, asked, children }: LookProps<T>) {
  const { words } = useWords()
  return (
    <section className="card" aria-busy={asked.busy}>
      <div className="card-head">
        <h2>{title}</h2>
        <button type="button" className="button small" onClick={asked.again} disabled={asked.busy}>
          {asked.busy ? words.machine.looking : words.machine.again}
        </button>
      </div>
      {asked.state === 'waiting' && <p className="quiet">{words.machine.looking}</p>}
      {asked.state === 'failed' && <Failure why={asked.why} />}
      {asked.state === 'here' && children(asked.value)}
    </section>
  )
}
