/** What flows: rates and connections over the last 15 minutes, by rule, and every connection. */
import { useState } from 'react'
import type { RuleStatus } from '../../../src/model/face.ts'
import { Field } from '../form/fields.tsx'
import { PlainTable } from '../parts/columns-table.tsx'
import { naru } from '../state/naru.ts'
import { useNow } from '../state/now.ts'
import { linkTo } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { Chart } from '../traffic/chart.tsx'
import { columnsOf } from '../traffic/columns.ts'
import { Connections } from '../traffic/connections.tsx'
import { bytesText, rateText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'

export default function TrafficPage() {
  const { words } = useWords()
  const rules = useWatched(naru.rules) ?? []
  const [chosen, setChosen] = useState<string | null>(null)
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{words.traffic.title}</h1>
          <p className="quiet">{words.traffic.lead}</p>
        </div>
        <div className="which">
          <Field label={words.traffic.which}>
            {(described) => (
              <select
                {...described}
                value={chosen ?? ''}
                onChange={(event) => setChosen(event.target.value === '' ? null : event.target.value)}
              >
                <option value="">{words.traffic.allRules}</option>
                {rules.map(({ name }) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            )}
          </Field>
        </div>
      </div>
      <Charts rule={chosen} />
      {chosen === null && <ByRule rules={rules} />}
      <Connections rule={chosen} />
    </>
  )
}

function Charts({ rule }: { readonly rule: string | null }) {
  const { words } = useWords()
  useWatched(naru.history.version)
  // Time goes on where nothing flows.
  useNow(5000)
  const { time, toTarget, toClient, open } = columnsOf(naru.history.moments, rule)
  return (
    <div className="charts">
      <section className="card">
        <Chart
          label={words.traffic.rates}
          time={time}
          lines={[
            { label: words.traffic.toTarget, colour: '--in' },
            { label: words.traffic.toClient, colour: '--out' },
          ]}
          values={[toTarget, toClient]}
          text={rateText}
          smallestTop={1000}
        />
      </section>
      <section className="card">
        <Chart
          label={words.traffic.open}
          time={time}
          lines={[{ label: words.traffic.open, colour: '--accent' }]}
          values={[open]}
          text={String}
          smallestTop={4}
        />
      </section>
    </div>
  )
}

const mostRules = 12

/** The busiest first. */
function ByRule({ rules }: { readonly rules: readonly RuleStatus[] }) {
  const { words } = useWords()
  const weight = ({ rate, counters }: RuleStatus): number => rate.toTarget + rate.toClient + counters.open
  const sum = ({ counters }: RuleStatus): number => counters.bytesToTarget + counters.bytesToClient
  const busy = rules
    .filter((rule) => weight(rule) + sum(rule) > 0)
    .sort((a, b) => weight(b) - weight(a) || sum(b) - sum(a))
    .slice(0, mostRules)
  return (
    <section className="card">
      <h2>{words.traffic.byRule}</h2>
      <PlainTable
        caption={words.traffic.byRule}
        heads={[
          words.traffic.rule,
          words.traffic.toTarget,
          words.traffic.toClient,
          words.traffic.open,
          words.traffic.bytes,
        ]}
        none={words.traffic.noneYet}
        rows={busy.map(({ name, rate, counters }) => ({
          key: name,
          cells: [
            <a key="name" href={linkTo(['rules', name])}>
              {name}
            </a>,
            rateText(rate.toTarget),
            rateText(rate.toClient),
            counters.open,
            `${bytesText(counters.bytesToTarget)} / ${bytesText(counters.bytesToClient)}`,
          ],
        }))}
      />
    </section>
  )
}
