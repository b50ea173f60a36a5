/** A labelled field with its hint and, beside it, what is wrong with it. */
import { useId, type ReactNode } from 'react'
import { Icon } from '../parts/icon.tsx'

export interface Described {
  readonly id: string
  readonly 'aria-describedby': string | undefined
  readonly 'aria-invalid': boolean
}

export interface FieldProps {
  readonly label: string
  readonly hint?: string | undefined
  readonly problem?: string | undefined
  readonly children: (described: Described) => ReactNode
}

export function Field({ label, hint, problem, children }: FieldProps) {
  const id = useId()
  return (
    <div className="field">
      <label className="label" htmlFor={id}>
        {label}
      </label>
      {children(describedBy(id, hint, problem))}
      {problem !== undefined && <Problem id={`${id}-problem`} text={problem} />}
      {hint !== undefined && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  )
}

export interface CheckProps {
  readonly label: string
  readonly hint: string
  readonly checked: boolean
  readonly problem?: string | undefined
  readonly onChange: (checked: boolean) => void
}

export function Check({ label, hint, checked, problem, onChange }: CheckProps) {
  const id = useId()
  return (
    <div className="check">
      <input
        type="checkbox"
        checked={checked}
        onChange={(event) => onChange(event.target.checked)}
        {...describedBy(id, hint, problem)}
      />
      <div>
        <label htmlFor={id}>{label}</label>
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
        {problem !== undefined && <Problem id={`${id}-problem`} text={problem} />}
      </div>
    </div>
  )
}

function Problem({ id, text }: { readonly id: string; readonly text: string }) {
  return (
    <p className="problem" id={id}>
      <Icon name="warning" size={14} /> {text}
    </p>
  )
}

function describedBy(id: string, hint: string | undefined, problem: string | undefined): Described {
  const parts = [problem === undefined ? '' : `${id}-problem`, hint === undefined ? '' : `${id}-hint`].filter(
    Boolean,
  )
  return {
    id,
    'aria-describedby': parts.length > 0 ? parts.join(' ') : undefined,
    'aria-invalid': problem !== undefined,
  }
}
