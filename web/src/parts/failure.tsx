/** What could not be done, and the next step. */
import type { NaruError } from '../../../src/base/errors.ts'
import { useWords } from '../words/index.ts'
import { Icon } from './icon.tsx'

export function Failure({ why: { text, fix } }: { readonly why: Pick<NaruError, 'text' | 'fix'> }) {
  const { say } = useWords()
  return (
    <div className="failure" role="alert">
      <Icon name="warning" />
      <div>
        <p>{say(text)}</p>
        {fix && <p className="quiet">{say(fix)}</p>}
      </div>
    </div>
  )
}
