/** One of a few, all visible: radio buttons that look like one switch. */
import { useId } from 'react'

export interface ChoiceProps<T extends string> {
  readonly label: string
  readonly value: T
  readonly options: readonly { readonly value: T; readonly text: string; readonly lang?: string }[]
  readonly onChoose: (value: T) => void
  readonly hideLabel?: boolean
  readonly disabled?: boolean
}

export function Choice<T extends string>({
  label,
  value,
  options,
  onChoose,
  hideLabel,
  disabled,
}: ChoiceProps<T>) {
  const name = useId()
  return (
    <fieldset className="choice" disabled={disabled}>
      <legend className={hideLabel ? 'hidden' : 'label'}>{label}</legend>
      <div className="choice-row">
        {options.map((option) => (
          <label key={option.value} lang={option.lang}>
            <input
              type="radio"
              name={name}
              checked={option.value === value}
              onChange={() => onChoose(option.value)}
            />
            <span>{option.text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  )
}
