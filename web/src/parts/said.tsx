/** A sentence of Naru's: what stands between backticks in it is a command, and is not broken while it fits in a line. */
import type { Text } from '../../../src/base/text.ts'
import { useWords } from '../words/index.ts'

export function Said({ text }: { readonly text: Text }) {
  const { say } = useWords()
  return say(text)
    .split('`')
    .map((part, at) =>
      at % 2 === 1 ? (
        // oxlint-disable-next-line react/no-array-index-key -- parts of one sentence, in its order
        <code key={at} className="said-command">
          {part}
        </code>
      ) : (
        part
      ),
    )
}
