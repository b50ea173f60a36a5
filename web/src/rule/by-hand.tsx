/** What a person types on the router's own page where it opens nothing by itself, and whether it is open by now. */
import { useState } from 'react'
import { toNaruError, type NaruError } from '../../../src/base/errors.ts'
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import type { Json } from '../../../src/model/hop.ts'
import type { RouterCheck, RouterCheckWish } from '../../../src/model/router.ts'
import type { StepField, RouterSteps } from '../../../src/model/router-steps.ts'
import { listenParts } from '../parts/columns.ts'
import { Copy } from '../parts/copy.tsx'
import { Failure } from '../parts/failure.tsx'
import { Icon } from '../parts/icon.tsx'
import { Said } from '../parts/said.tsx'
import { machine } from '../state/naru.ts'
import { useWords } from '../words/index.ts'

export function ByHand({ rule, steps }: { readonly rule: RuleStatus; readonly steps: RouterSteps }) {
  const { words, say } = useWords()
  const { url, path, rows, notes } = steps
  return (
    <section className="card by-hand">
      <h2>{words.byHand.title}</h2>
      <p className="prose">{words.byHand.text}</p>
      <ol className="numbered">
        <li>
          {words.byHand.open}{' '}
          {/^https?:/.test(url) ? (
            <a href={url} target="_blank" rel="noreferrer">
              {url}
            </a>
          ) : (
            url
          )}
        </li>
        <li>{say(path)}</li>
        <li>
          {words.byHand.type}
          {rows.map((row, at) => (
            // oxlint-disable-next-line react/no-array-index-key -- rows are told by their place alone
            <Row key={at} number={rows.length > 1 ? at + 1 : null} row={row} />
          ))}
        </li>
        {notes.map((note) => (
          <li key={note.en}>{say(note)}</li>
        ))}
      </ol>
      <CheckNow rule={rule} />
    </section>
  )
}

function Row({ number, row }: { readonly number: number | null; readonly row: readonly StepField[] }) {
  const { words, say } = useWords()
  return (
    <>
      {number !== null && <h3>{words.byHand.row(number)}</h3>}
      <dl className="to-type">
        {row.map(({ label, value }) => (
          <div key={label.en}>
            <dt>{say(label)}</dt>
            <dd className="figure">
              {value === '' ? <span className="quiet">{words.byHand.empty}</span> : value}
            </dd>
            {value !== '' && value !== '✓' && (
              <dd>
                <Copy text={value} what={say(label)} iconOnly />
              </dd>
            )}
          </div>
        ))}
      </dl>
    </>
  )
}

type Answer = RouterCheck | { readonly why: NaruError }

/** Tries whether the typed-in row works, as `naru router check` does. */
function CheckNow({ rule }: { readonly rule: RuleStatus }) {
  const { words } = useWords()
  const [answer, setAnswer] = useState<Answer | 'busy' | null>(null)
  const busy = answer === 'busy'
  const check = async (): Promise<void> => {
    setAnswer('busy')
    const signal = AbortSignal.timeout(30_000)
    setAnswer(
      await machine.router
        .check(wishOf(rule), { signal })
        .catch((error: unknown) => ({ why: toNaruError(error) })),
    )
  }
  return (
    <>
      <div className="row below">
        <button type="button" className="button primary" disabled={busy} onClick={() => void check()}>
          <Icon name="router" /> {busy ? words.byHand.checking : words.byHand.check}
        </button>
      </div>
      <div aria-live="polite">
        {answer !== null && answer !== 'busy' && 'state' in answer && (
          <div className="below" data-check={answer.state}>
            <span className="badge" data-state={badges[answer.state]}>
              <Icon name={answer.state === 'open' ? 'check' : 'warning'} size={12} />
              {words.byHand.found[answer.state]}
            </span>
            {answer.evidence.map((one) => (
              <p key={one.en}>
                <Said text={one} />
              </p>
            ))}
          </div>
        )}
        {answer !== null && answer !== 'busy' && 'why' in answer && <Failure why={answer.why} />}
      </div>
    </>
  )
}

/** As badges are coloured. */
const badges = { open: 'open', wrong: 'failed', unknown: 'degraded' } as const

function wishOf({ name, listen, rule: { publish } }: RuleStatus): RouterCheckWish {
  const { port, protocol } = listenParts(listen)
  const [first = 0, last = first] = port.split('-').map(Number)
  const asked = typeof publish === 'object' && publish !== null && !Array.isArray(publish) ? publish : {}
  const outside = (asked as Readonly<Record<string, Json>>)['externalPort']
  return {
    name,
    protocols: protocol === 'TCP+UDP' ? ['tcp', 'udp'] : [protocol === 'UDP' ? 'udp' : 'tcp'],
    ports: { first, last },
    externalPort: outside === 'any' || typeof outside === 'number' ? outside : null,
    // The typed-in row lets everybody in as far as this machine, which looks at its own list.
    allow: [],
  }
}
