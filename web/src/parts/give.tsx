/** An address to give to others: as text, to copy, and as a code for a camera. */
import { lazy, Suspense, useState } from 'react'
import type { RuleAddress, RuleStatus } from '../../../src/model/naru-api.ts'
import { useWords } from '../words/index.ts'
import { Copy } from './copy.tsx'
import { Icon, type IconName } from './icon.tsx'

const Qr = lazy(() => import('./qr.tsx'))

const icons: Readonly<Record<RuleAddress['scope'], IconName>> = {
  machine: 'machine',
  lan: 'router',
  internet: 'globe',
}

/** The one that reaches furthest; null while nothing is open. */
export function furthestOf({ addresses }: Pick<RuleStatus, 'addresses'>): RuleAddress | null {
  return addresses.at(-1) ?? null
}

export function Give({ address: { scope, text } }: { readonly address: RuleAddress }) {
  const { words } = useWords()
  const [shown, setShown] = useState(false)
  return (
    <div className="give" data-scope={scope}>
      <span className="give-scope">
        <Icon name={icons[scope]} size={14} /> {words.give.scope[scope]}
      </span>
      <span className="give-text figure">
        {/^https?:/.test(text) ? (
          <a href={text} target="_blank" rel="noreferrer">
            {text}
          </a>
        ) : (
          text
        )}
      </span>
      <span className="give-buttons">
        <Copy text={text} iconOnly />
        {scope !== 'machine' && (
          <button
            type="button"
            className="button icon-only"
            aria-expanded={shown}
            aria-label={words.give.qrNamed(text)}
            title={words.give.qr}
            onClick={() => setShown(!shown)}
          >
            <Icon name="qr" size={16} />
          </button>
        )}
      </span>
      {shown && (
        <Suspense>
          <span className="give-qr">
            <Qr text={text} label={words.give.qrNamed(text)} />
          </span>
        </Suspense>
      )}
    </div>
  )
}
