/** What flows: rates and connections over the last 15 minutes, an hour or a day, by rule, and every connection. */
import { useEffect, useState } from 'react'
import type { RuleStatus, TrafficMoment } from '../../../src/model/naru-api.ts'
import { Field } from '../form/fields.tsx'
import { Choice } from '../parts/choice.tsx'
import { PlainTable } from '../parts/columns-table.tsx'
import { RuleOptions } from '../parts/rule-options.tsx'
import { keptMs } from '../state/history.ts'
import { client, naru } from '../state/naru.ts'
import { useNow } from '../state/now.ts'
import { fields, linkTo, setFields } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { Chart } from '../traffic/chart.tsx'
import { columnsOf, type Columns } from '../traffic/columns.ts'
import { Connections } from '../traffic/connections.tsx'
import { bytesText, rateText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'

const spans = ['quarter', 'hour', 'day'] as const
type Span = (typeof spans)[number]

export default function TrafficPage() {
  const { words } = useWords()
  const rules = useWatched(naru.rules) ?? []
  const query = useWatched(fields)
  const chosen = query.get('rule')
  const span = spans.find((one) => one === query.get('span')) ?? 'quarter'
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{words.traffic.title}</h1>
          <p className="quiet">{words.traffic.arrows}</p>
        </div>
        <Choice
          label={words.traffic.span}
          hideLabel
          value={span}
          options={spans.map((value) => ({ value, text: words.traffic.spans[value] }))}
          onChoose={(value) => setFields({ span: value === 'quarter' ? '' : value })}
        />
        <div className="which">
          <Field label={words.traffic.which}>
            {(described) => (
              <select
                {...described}
                value={chosen ?? ''}
                onChange={(event) => setFields({ rule: event.target.value })}
              >
                <option value="">{words.traffic.allRules}</option>
                <RuleOptions rules={rules} />
              </select>
            )}
          </Field>
        </div>
      </div>
      {span === 'quarter' ? <LastMinutes rule={chosen} /> : <LastDay rule={chosen} span={span} />}
      {chosen === null && <ByRule rules={rules} />}
      <Connections rule={chosen} />
    </>
  )
}

const minuteMs = 60_000
const spanMs: Readonly<Record<Span, number>> = {
  quarter: keptMs,
  hour: 60 * minuteMs,
  day: 24 * 60 * minuteMs,
}

/** Each second as it comes. */
function LastMinutes({ rule }: { readonly rule: string | null }) {
  useWatched(naru.history.version)
  // Time goes on where nothing flows.
  useNow(5000)
  return <Charts columns={columnsOf(naru.history.moments, rule, 0)} spanMs={spanMs.quarter} />
}

/** A minute a point, asked again every minute. */
function LastDay({ rule, span }: { readonly rule: string | null; readonly span: 'hour' | 'day' }) {
  const { words } = useWords()
  const [moments, setMoments] = useState<readonly TrafficMoment[]>([])
  const now = useNow(minuteMs)
  useEffect(() => {
    let current = true
    const take = (found: readonly TrafficMoment[]): void => {
      if (current) setMoments(found)
    }
    client.traffic({ span: 'day', ...(rule !== null && { rule }) }).then(take, () => {})
    return () => {
      current = false
    }
  }, [rule, now])
  const since = now - spanMs[span]
  const columns = columnsOf(
    moments.filter(({ at }) => at >= since),
    rule,
    null,
  )
  return (
    <>
      <Charts columns={columns} spanMs={spanMs[span]} />
      <p className="quiet small-text chart-note">{words.traffic.dayNote}</p>
    </>
  )
}

function Charts({ columns, spanMs: shownMs }: { readonly columns: Columns; readonly spanMs: number }) {
  const { words } = useWords()
  const { time, toTarget, toClient, open } = columns
  return (
    <div className="charts">
      <section className="card">
        <Chart
          label={words.traffic.rates}
          time={time}
          spanMs={shownMs}
          lines={[
            { label: `↓ ${words.traffic.toTarget}`, colour: '--in' },
            { label: `↑ ${words.traffic.toClient}`, colour: '--out' },
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
          spanMs={shownMs}
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
          `↓ ${words.traffic.toTarget}`,
          `↑ ${words.traffic.toClient}`,
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
