/** The test from outside: a code for a phone that is off the Wi-Fi, and what arrived. */
import { useState } from 'react'
import { Field } from '../form/fields.tsx'
import { isLoopbackOnly } from '../parts/columns.ts'
import { Failure } from '../parts/failure.tsx'
import { Icon } from '../parts/icon.tsx'
import Qr from '../parts/qr.tsx'
import { RuleOptions } from '../parts/rule-options.tsx'
import { naru } from '../state/naru.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'
import { MayAskInternet, StopButton } from './asking.tsx'
import { useDiagnosis, type Outside } from './diagnosing.ts'
import { Verdict } from './verdict.tsx'

export function PhoneTest() {
  const { words } = useWords()
  const { now, start, stop } = useDiagnosis()
  const rules = useWatched(naru.rules) ?? []
  const [chosen, setChosen] = useState<string | null>(null)
  const [internet, setInternet] = useState(true)
  // A phone reaches nothing that listens on this machine alone.
  const tried = rules.filter(
    (one) => !/\/udp$|^unix:/.test(one.listen) && one.state !== 'disabled' && !isLoopbackOnly(one),
  )
  const rule = chosen ?? tried[0]?.name ?? null
  return (
    <section className="card">
      <h2>
        <Icon name="phone" /> {words.doctor.phone}
      </h2>
      <p className="prose">{words.doctor.phoneText}</p>
      {tried.length === 0 || rule === null ? (
        <p className="quiet below">{words.doctor.phoneNone}</p>
      ) : (
        <div className="row ask below">
          <Field label={words.doctor.phoneWhich}>
            {(described) => (
              <select {...described} value={rule} onChange={(event) => setChosen(event.target.value)}>
                <RuleOptions rules={tried} />
              </select>
            )}
          </Field>
          <MayAskInternet checked={internet} onChange={setInternet} />
          {now.state === 'running' ? (
            <StopButton onStop={stop} />
          ) : (
            <button
              type="button"
              className="button"
              onClick={() => start({ about: rule, mayAskInternet: internet, fromPhone: true })}
            >
              {words.doctor.phoneStart}
            </button>
          )}
        </div>
      )}
      <div aria-live="polite">
        {now.state === 'running' && now.url === null && (
          <p className="quiet below">{words.machine.looking}</p>
        )}
        {now.url !== null && <Code url={now.url} />}
        {now.outside.map((one) => (
          <Arrived key={`${one.by}${one.to}${one.port}`} outside={one} />
        ))}
        {now.why && (
          <div className="below">
            <Failure why={now.why} />
          </div>
        )}
      </div>
      {now.diagnosis && <Verdict diagnosis={now.diagnosis} />}
    </section>
  )
}

function Code({ url }: { readonly url: string }) {
  const { words } = useWords()
  return (
    <figure className="qr">
      <Qr text={url} label={words.doctor.qr} />
      <figcaption>
        <p>{words.doctor.phoneWait}</p>
        <p>
          {words.doctor.phoneLink}: <a href={url}>{url}</a>
        </p>
      </figcaption>
    </figure>
  )
}

function Arrived({ outside: { to, port, result, synsSeen } }: { readonly outside: Outside }) {
  const { words } = useWords()
  return (
    <p className="below">
      <Icon name={result === 'answered' ? 'check' : 'warning'} /> <b>{words.doctor.outside[result]}</b>{' '}
      <span className="quiet figure">
        {to}:{port}
        {synsSeen !== null && ` · ${words.doctor.syns(synsSeen)}`}
      </span>
    </p>
  )
}
