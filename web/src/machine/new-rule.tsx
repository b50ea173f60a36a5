/** One click from what was found to a rule that leads there. */
import { Icon } from '../parts/icon.tsx'
import { naru } from '../state/naru.ts'
import { linkTo } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'

export interface NewRuleProps {
  /** Named for screen readers, such as `8080/tcp`. */
  readonly what: string
  readonly fields: Readonly<Record<string, string>>
}

export function NewRule({ what, fields }: NewRuleProps) {
  const { words } = useWords()
  const access = useWatched(naru.access)
  if (access === 'read') return null
  return (
    <a className="button small" href={linkTo(['new'], fields)} aria-label={words.machine.newRuleFor(what)}>
      <Icon name="plus" size={14} /> {words.machine.newRule}
    </a>
  )
}
