/** Several targets, a row each: where it goes, its share, the name it serves, and whether it waits until the others fail. */
import { useRef } from 'react'
import { Icon } from '../parts/icon.tsx'
import { useWords } from '../words/index.ts'
import { emptyTarget, isWritten, type TargetDraft } from './draft.ts'
import { Field } from './fields.tsx'
import { KeyFields } from './key-fields.tsx'
import { useProblem, type SectionProps } from './section.ts'

export function Targets({ draft, problems, change }: SectionProps) {
  const { targets } = draft
  const { words } = useWords()
  const problem = useProblem(problems)
  const add = useRef<HTMLButtonElement>(null)
  const put = (at: number, fields: Partial<TargetDraft>): void =>
    change({ targets: targets.map((target, other) => (other === at ? { ...target, ...fields } : target)) })
  const remove = (at: number): void => {
    change({ targets: targets.filter((_, other) => other !== at) })
    // The button that had the focus is gone.
    add.current?.focus()
  }
  // Blank rows are not asked about: what is wrong is told of the others, as they are counted.
  const counted = targets.flatMap((target, at) => (isWritten(target) ? [at] : []))
  return (
    <div className="stack">
      <ol className="targets">
        {targets.map((target, at) => (
          // oxlint-disable-next-line react/no-array-index-key -- a row has no other name, and keeps nothing of its own
          <li key={at}>
            <TargetRow
              number={at + 1}
              target={target}
              problem={(key) => problem(`targets.${counted.indexOf(at)}.${key}`)}
              change={(fields) => put(at, fields)}
              {...(targets.length > 1 && { remove: () => remove(at) })}
            />
          </li>
        ))}
      </ol>
      {problem('targets') !== undefined && <p className="problem">{problem('targets')}</p>}
      <button
        ref={add}
        type="button"
        className="button small"
        onClick={() => change({ targets: [...targets, emptyTarget] })}
      >
        <Icon name="plus" size={14} /> {words.form.addTarget}
      </button>
      <KeyFields draft={draft} problems={problems} change={change} place="targets" />
    </div>
  )
}

interface TargetRowProps {
  readonly number: number
  readonly target: TargetDraft
  readonly problem: (key: keyof TargetDraft) => string | undefined
  readonly change: (fields: Partial<TargetDraft>) => void
  /** The last one stays. */
  readonly remove?: () => void
}

function TargetRow({ number, target, problem, change, remove }: TargetRowProps) {
  const { words } = useWords()
  const texts = ['to', 'weight', 'name'] as const
  const placeholders = { to: '192.168.79.128:80', weight: '1', name: 'a.example.org' }
  return (
    <fieldset className="target">
      <legend>{words.form.targetNumber(number)}</legend>
      {texts.map((key) => (
        <Field key={key} label={words.form.targetKeys[key]} problem={problem(key)}>
          {(described) => (
            <input
              {...described}
              value={target[key]}
              placeholder={placeholders[key]}
              onChange={(event) => change({ [key]: event.target.value })}
            />
          )}
        </Field>
      ))}
      <label className="row">
        <input
          type="checkbox"
          checked={target.backup}
          onChange={(event) => change({ backup: event.target.checked })}
        />
        {words.form.backup}
      </label>
      {remove && (
        <button type="button" className="button small" onClick={remove}>
          <Icon name="trash" size={14} /> {words.form.removeTarget(number)}
        </button>
      )}
    </fieldset>
  )
}
