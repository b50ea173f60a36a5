/** The steps from rule to open ports, before anything is done. */
import type { Plan, PlanStep } from '../../../src/model/plan.ts'
import { Icon, type IconName } from '../parts/icon.tsx'
import { useWords } from '../words/index.ts'
import type { Judgement } from './judge.ts'

export function PlanView({ judgement }: { readonly judgement: Judgement }) {
  const { words, say } = useWords()
  return (
    <section className="card plan" aria-live="polite" aria-busy={judgement.state === 'busy'}>
      <h2>{words.form.plan}</h2>
      {judgement.state === 'empty' && <p className="quiet">{words.form.planEmpty}</p>}
      {judgement.state === 'busy' && <p className="quiet">{words.form.planBusy}</p>}
      {judgement.state === 'wrong' && (
        <>
          <p className="quiet">{words.form.planWrong}</p>
          {judgement.problems.whole && (
            <p className="problem">
              <Icon name="warning" size={14} /> {say(judgement.problems.whole)}
            </p>
          )}
        </>
      )}
      {judgement.state === 'good' && <Steps plan={judgement.plan} />}
    </section>
  )
}

const actionIcons: Readonly<Record<PlanStep['action'], IconName>> = {
  open: 'plus',
  update: 'edit',
  keep: 'check',
  close: 'cross',
}

function Steps({ plan: { steps, notes } }: { readonly plan: Plan }) {
  const { words, say } = useWords()
  return (
    <>
      {steps.length === 0 && <p className="quiet">{words.form.planNothing}</p>}
      <ol className="steps">
        {steps.map((step) => (
          <li key={`${step.rule}${step.hop}${step.action}${step.what.en}`} data-action={step.action}>
            <span className="stop-mark">
              <Icon name={step.member === null ? 'warning' : actionIcons[step.action]} size={13} />
            </span>
            <div>
              <p>
                <b>
                  {words.form.step[step.action]} · {words.hop[step.hop]}
                </b>{' '}
                {step.member !== null && <span className="engine">{step.member}</span>}
              </p>
              <p>{say(step.what)}</p>
              <p className="quiet small-text">{say(step.why)}</p>
              {step.needs && (
                <p className="note small-text">
                  {words.form.needs} {say(step.needs.text)} <code>{step.needs.command}</code>
                </p>
              )}
            </div>
          </li>
        ))}
      </ol>
      {notes.map((note) => (
        <p key={note.en} className="note small-text">
          {say(note)}
        </p>
      ))}
    </>
  )
}
