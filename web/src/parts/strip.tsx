/** The path of a rule in one line: each hop with its state as icon, colour and words. */
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { useWords } from '../words/index.ts'
import { pathOf, stateIcons, type PathHop } from './hops.ts'
import { Icon } from './icon.tsx'
import { Said } from './said.tsx'

export function HopStrip({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const path = pathOf(rule)
  const trouble = path.filter(({ state }) => state === 'broken')
  return (
    <div className="strip-box">
      <ol className="strip" aria-label={words.rules.pathNamed(rule.name)}>
        {path.map((hop) => (
          <Stop key={hop.hop} hop={hop} />
        ))}
      </ol>
      {trouble.map(({ hop, status }) => (
        <Reason key={hop} hop={hop} status={status} />
      ))}
    </div>
  )
}

function Stop({ hop: { hop, state, status } }: { readonly hop: PathHop }) {
  const { words, say } = useWords()
  const member = status?.member ?? null
  return (
    <li className="stop" data-hop={hop} data-state={state} title={status ? say(status.text) : undefined}>
      <span className="stop-mark">
        <Icon name={stateIcons[state]} size={12} />
      </span>
      <span className="stop-name">
        {words.hop[hop]}
        {member !== null && hop !== 'service' && member !== hop && (
          <span className="stop-member"> {member}</span>
        )}
      </span>
      <span className="hidden">: {words.hopState[state]}</span>
    </li>
  )
}

function Reason({ hop, status }: Pick<PathHop, 'hop' | 'status'>) {
  const { words } = useWords()
  if (!status) return null
  return (
    <p className="reason">
      <b>{words.hop[hop]}:</b> <Said text={status.text} />
      {status.notes.map((note) => (
        <span key={note.en} className="reason-note">
          <Said text={note} />
        </span>
      ))}
    </p>
  )
}
