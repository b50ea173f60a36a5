/** What could not be carried over, each with its line and the reason: nothing is dropped in silence. */
import type { Loss } from '../../../src/model/import-export.ts'
import { useWords } from '../words/index.ts'

export function Losses({ losses }: { readonly losses: readonly Loss[] }) {
  const { words } = useWords()
  const missed = losses.filter(({ off }) => !off)
  const off = losses.flatMap((loss) => (loss.off && loss.rule !== null ? [loss.rule] : []))
  return (
    <>
      {off.length > 0 && <p className="quiet small-text below">{words.exchange.off(off.join(', '))}</p>}
      {missed.length > 0 && <Missed losses={missed} />}
    </>
  )
}

function Missed({ losses }: { readonly losses: readonly Loss[] }) {
  const { words, say } = useWords()
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
