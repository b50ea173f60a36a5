/** The doctor, live: choose what to examine, watch each look, read the verdict and what to do. */
import { useEffect, useState } from 'react'
import { MayAskInternet, StopButton } from '../doctor/asking.tsx'
import { Looks } from '../doctor/looks.tsx'
import { PhoneTest } from '../doctor/phone.tsx'
import { useDiagnosis } from '../doctor/diagnosing.ts'
import { Verdict } from '../doctor/verdict.tsx'
import { Field } from '../form/fields.tsx'
import { Failure } from '../parts/failure.tsx'
import { Icon } from '../parts/icon.tsx'
import { RuleOptions } from '../parts/rule-options.tsx'
import { naru } from '../state/naru.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'

export default function DoctorPage({ about: first }: { readonly about: string | null }) {
  const { words } = useWords()
  const { now, start, stop } = useDiagnosis()
  const rules = useWatched(naru.rules) ?? []
  const access = useWatched(naru.access)
  const [about, setAbout] = useState(first)
  const [mayAskInternet, setMayAskInternet] = useState(false)
  // Who came here from a rule has asked already.
  useEffect(() => {
    if (first !== null) start({ about: first, mayAskInternet: false, fromPhone: false })
  }, [first, start])
  const running = now.state === 'running'
  return (
    <>
      <h1>{words.doctor.title}</h1>
      <p className="quiet lead">{words.doctor.lead}</p>
      <section className="card">
        <div className="row ask">
          <Field label={words.doctor.about}>
            {(described) => (
              <select
                {...described}
                value={about ?? ''}
                onChange={(event) => setAbout(event.target.value === '' ? null : event.target.value)}
              >
                <option value="">{words.doctor.everything}</option>
                <RuleOptions rules={rules} />
              </select>
            )}
          </Field>
          {access === 'full' && <MayAskInternet checked={mayAskInternet} onChange={setMayAskInternet} />}
          {running ? (
            <StopButton onStop={stop} />
          ) : (
            <button
              type="button"
              className="button primary"
              onClick={() => start({ about, mayAskInternet, fromPhone: false })}
            >
              <Icon name="doctor" /> {words.doctor.start}
            </button>
          )}
        </div>
      </section>
      <div className="stacked" aria-live="polite">
        {now.why && <Failure why={now.why} />}
        {now.diagnosis && <Verdict diagnosis={now.diagnosis} />}
      </div>
      <Looks looks={now.looks} counts={now.diagnosis?.counts ?? null} running={running} />
      {access === 'full' && <PhoneTest />}
    </>
  )
}
