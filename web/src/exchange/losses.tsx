/** What could not be carried over, each with its line and the reason: nothing is dropped in silence. */
import type { Loss } from '../../../src/model/exchange.ts'
import { useWords } from '../words/index.ts'

export function Losses({ losses }: { readonly losses: readonly Loss[] }) {
  const { words, say } = useWords()
  if (losses.length === 0) return null
  return (
    <>
      <h3>{words.exchange.lossesTitle(losses.length)}</h3>
      <ul className="losses">
        {losses.map((loss, at) => (
          // oxlint-disable-next-line react/no-array-index-key -- one line may say the same twice
          <li key={at}>
            <p>
              {loss.leftOut && (
                <span className="badge" data-state="warns">
                  {words.exchange.leftOut}
                </span>
              )}{' '}
              <code>{loss.what}</code>{' '}
              <span className="quiet small-text">
                {[loss.place && words.exchange.line(loss.place.line), loss.rule].filter(Boolean).join(' · ')}
              </span>
            </p>
            <p className="small-text">{say(loss.why)}</p>
          </li>
        ))}
      </ul>
    </>
  )
}
