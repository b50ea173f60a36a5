/** A name that may be longer than a phone is wide: it is broken behind its dots, and not in a word while that fits. */
import { Fragment } from 'react'

export function Breakable({ text }: { readonly text: string }) {
  return text.split(/(?<=[.:/@_])(?=[^\d])/).map((part, at) => (
    // oxlint-disable-next-line react/no-array-index-key -- parts of one name, in its order
    <Fragment key={at}>
      {at > 0 && <wbr />}
      {part}
    </Fragment>
  ))
}
