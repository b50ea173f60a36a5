/** On or off, at once. */
export interface SwitchProps {
  readonly on: boolean
  readonly label: string
  readonly disabled?: boolean
  readonly onSwitch: (on: boolean) => void
}

export function Switch({ on, label, disabled, onSwitch }: SwitchProps) {
  return (
    <input
      type="checkbox"
      role="switch"
      className="switch"
      checked={on}
      disabled={disabled}
      aria-label={label}
      onChange={(event) => onSwitch(event.target.checked)}
    />
  )
}
