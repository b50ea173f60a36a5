/** Every look of a diagnosis, as it is made. */
import { Icon, type IconName } from '../parts/icon.tsx'
import { useWords } from '../words/index.ts'
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

/** One rule's looks are all shown; of many rules', what was found or could not be seen, and what was not is folded. */
const mostShown = 60

/** Found by going through all of them once; no list of thousands is made of it. */
function shownOf(looks: readonly DiagnosisLook[]): readonly DiagnosisLook[] {
  if (looks.length <= mostShown) return looks
  const shown: DiagnosisLook[] = []
  for (const look of looks) {
    if (look.outcome !== null && look.outcome.state !== 'passed') shown.push(look)
    if (shown.length === mostShown) break
  }
  return shown
}

export function Looks({
  looks,
  running,
}: {
  readonly looks: readonly DiagnosisLook[]
  readonly running: boolean
}) {
  const { words } = useWords()
  const done = looks.filter(({ outcome }) => outcome !== null).length
  if (looks.length === 0) return null
  const shown = shownOf(looks)
  const isFolded = !running && looks.length > mostShown
  return (
    <section className="card">
      <div className="card-head">
        <h2>{words.doctor.checks}</h2>
        <p className="quiet figure" role="status">
          {words.doctor.running(done, looks.length)}
        </p>
      </div>
      {running && <progress value={done} max={looks.length} aria-label={words.doctor.checks} />}
      {isFolded ? (
        <details>
          <summary>{words.doctor.showLooks}</summary>
          <LookList looks={shown} />
        </details>
      ) : (
        <LookList looks={shown} />
      )}
      {shown.length < looks.length && (
        <p className="quiet small-text below">{words.doctor.notShown(looks.length - shown.length)}</p>
      )}
    </section>
  )
}

function LookList({ looks }: { readonly looks: readonly DiagnosisLook[] }) {
  return (
    <ul className="looks">
      {looks.map((look) => (
        <OneLook key={look.key} look={look} />
      ))}
    </ul>
  )
}

function OneLook({ look: { started, outcome } }: { readonly look: DiagnosisLook }) {
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
          {started.rule !== null && `${started.rule} · `}
          {words.hop[started.hop]}
          {state !== 'passed' && ` · ${words.doctor.outcome[state]}`}
          {outcome?.problem && `: ${say(outcome.problem.message)}`}
        </span>
      </span>
    </li>
  )
}
