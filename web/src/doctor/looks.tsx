/** Every look of a diagnosis, as it is made. */
import { Icon, type IconName } from '../parts/icon.tsx'
import { useWords } from '../words/index.ts'
import type { CheckCounts } from '../../../src/model/diagnosis.ts'
import type { DiagnosisLook } from './diagnosing.ts'

type State = 'started' | 'passed' | 'found' | 'timed-out' | 'failed'

const icons: Readonly<Record<State, IconName>> = {
  started: 'dots',
  passed: 'check',
  found: 'warning',
  'timed-out': 'clock',
  failed: 'none',
}
/** As hops are coloured. */
const tones: Readonly<Record<State, string>> = {
  started: 'opening',
  passed: 'ok',
  found: 'warning',
  'timed-out': 'off',
  failed: 'off',
}

interface Shown {
  readonly look: DiagnosisLook
  /** Of other rules, that came to the same. */
  more: number
}

/**
 * One rule's looks are all shown; of many rules', what was found or could not be seen, the same of several rules as one,
 * and what was not is folded.
 */
const mostShown = 60

/** Found by going through all of them once; no list of thousands is made of it. */
function shownOf(looks: readonly DiagnosisLook[], all: number): readonly Shown[] {
  if (all <= mostShown) return looks.map((look) => ({ look, more: 0 }))
  const shown = new Map<string, Shown>()
  for (const look of looks) {
    if (look.outcome === null || look.outcome.state === 'passed') continue
    const key = `${look.outcome.code} ${look.outcome.state}`
    const same = shown.get(key)
    if (same) same.more++
    else if (shown.size < mostShown) shown.set(key, { look, more: 0 })
  }
  return [...shown.values()]
}

export function Looks({
  looks,
  counts,
  running,
}: {
  readonly looks: readonly DiagnosisLook[]
  /** Of all that was looked at, of which very many are not listed; null until they are there. */
  readonly counts: CheckCounts | null
  readonly running: boolean
}) {
  const { words } = useWords()
  const all = counts ? counts.passed + counts.found + counts.unmade : looks.length
  const done = counts ? all : looks.filter(({ outcome }) => outcome !== null).length
  if (all === 0) return null
  const shown = shownOf(looks, all)
  const left = all - shown.reduce((sum, { more }) => sum + 1 + more, 0)
  const isFolded = !running && all > mostShown
  return (
    <section className="card">
      <div className="card-head">
        <h2>{words.doctor.checks}</h2>
        <p className="quiet figure" role="status">
          {words.doctor.running(done, all)}
        </p>
      </div>
      {running && <progress value={done} max={all} aria-label={words.doctor.checks} />}
      {isFolded ? (
        <details>
          <summary>{words.doctor.showLooks}</summary>
          <LookList looks={shown} />
        </details>
      ) : (
        <LookList looks={shown} />
      )}
      {left > 0 && <p className="quiet small-text below">{words.doctor.notShown(left)}</p>}
    </section>
  )
}

function LookList({ looks }: { readonly looks: readonly Shown[] }) {
  return (
    <ul className="looks">
      {looks.map((shown) => (
        <OneLook key={shown.look.key} shown={shown} />
      ))}
    </ul>
  )
}

function OneLook({ shown: { look, more } }: { readonly shown: Shown }) {
  const { started, outcome } = look
  const { words, say } = useWords()
  const state: State = outcome?.state ?? 'started'
  return (
    <li data-state={tones[state]}>
      <span className="stop-mark">
        <Icon name={icons[state]} size={12} />
      </span>
      <span>
        {state === 'passed' ? words.doctor.ruledOut(say(started.title)) : say(started.title)}{' '}
        <span className="quiet small-text">
          {started.rule !== null && `${started.rule}${more > 0 ? ` ${words.rules.andMore(more)}` : ''} · `}
          {words.hop[started.hop]}
          {state !== 'passed' && ` · ${words.doctor.outcome[state]}`}
          {outcome?.problem && `: ${say(outcome.problem.message)}`}
        </span>
      </span>
    </li>
  )
}
