/** A rule's state in a word, with its icon: colour is never alone. */
import type { RuleState } from '../../../src/model/face.ts'
import { useWords } from '../words/index.ts'
import { Icon, type IconName } from './icon.tsx'

const icons: Readonly<Record<RuleState, IconName>> = {
  open: 'check',
  opening: 'dots',
  degraded: 'warning',
  failed: 'cross',
  disabled: 'none',
  draining: 'clock',
  expired: 'clock',
  stopped: 'none',
}

export function StateBadge({ state }: { readonly state: RuleState }) {
  const { words } = useWords()
  return (
    <span className="badge" data-state={state}>
      <Icon name={icons[state]} size={12} />
      {words.state[state]}
    </span>
  )
}
