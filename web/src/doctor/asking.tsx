/** What both examinations ask of a person: whether the internet may be asked, and when to stop. */
import { useWords } from '../words/index.ts'

interface MayAskProps {
  readonly checked: boolean
  readonly onChange: (may: boolean) => void
}

export function MayAskInternet({ checked, onChange }: MayAskProps) {
  const { words } = useWords()
  return (
    <label className="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      {words.doctor.internet}
    </label>
  )
}

export function StopButton({ onStop }: { readonly onStop: () => void }) {
  const { words } = useWords()
  return (
    <button type="button" className="button" onClick={onStop}>
      {words.doctor.stop}
    </button>
  )
}
