/** A rule's state in a word, with its icon: colour is never alone. */
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { shownState, type ShownState } from '../../../src/model/shown-state.ts'
import { useWords } from '../words/index.ts'
import { Icon, type IconName } from './icon.tsx'

const icons: Readonly<Record<ShownState, IconName>> = {
  open: 'check',
  untried: 'eye',
  silent: 'cross',
  opening: 'dots',
  degraded: 'warning',
  failed: 'cross',
  disabled: 'none',
  draining: 'clock',
  expired: 'clock',
  stopped: 'none',
}

export function StateBadge({ rule }: { readonly rule: RuleStatus }) {
  const state = shownState(rule)
  const { words } = useWords()
  return (
    <span className="badge" data-state={state}>
      <Icon name={icons[state]} size={12} />
      {words.state[state]}
    </span>
  )
}
