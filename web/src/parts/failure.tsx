/** What could not be done, and the next step. */
import type { NaruError } from '../../../src/base/errors.ts'
import { Icon } from './icon.tsx'
import { Said } from './said.tsx'

export function Failure({ why: { text, fix } }: { readonly why: Pick<NaruError, 'text' | 'fix'> }) {
  return (
    <div className="failure" role="alert">
      <Icon name="warning" />
      <div>
        <p>
          <Said text={text} />
        </p>
        {fix && (
          <p className="quiet">
            <Said text={fix} />
          </p>
        )}
      </div>
    </div>
  )
}
