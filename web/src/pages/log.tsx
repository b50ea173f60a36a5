/** What happened lately, live: what Naru said, whom it refused, and what became of the file. */
import { useDeferredValue, useMemo, useState } from 'react'
import { Again, whenText } from '../parts/again.tsx'
import { Icon, type IconName } from '../parts/icon.tsx'
import { gathered, lineOf, type Level, type LogLine } from '../state/log-lines.ts'
import { naru } from '../state/naru.ts'
import { fields, linkTo, setFields } from '../state/place.ts'
import { useCalm, useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'

const kinds = ['all', 'trouble', 'refused'] as const
type Kind = (typeof kinds)[number]

const shownAtFirst = 100

export default function LogPage() {
  const { words } = useWords()
  const all = useCalm(naru.happenings.all)
  const query = useDeferredValue(useWatched(fields))
  const lines = useMemo(() => gathered(all.filter((one) => isWanted(lineOf(one), query))), [all, query])
  const kind = kinds.find((one) => one === query.get('kind')) ?? 'all'
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{words.log.title}</h1>
          <p className="quiet">{words.log.lead}</p>
        </div>
      </div>
      <search className="toolbar">
        <Find />
        <label className="pick-one">
          <span className="quiet small-text">{words.log.kind}</span>
          <select
            value={kind}
            onChange={(event) => setFields({ kind: event.target.value === 'all' ? '' : event.target.value })}
          >
            {kinds.map((one) => (
              <option key={one} value={one}>
                {words.log.kinds[one]}
              </option>
            ))}
          </select>
        </label>
      </search>
      {lines.length === 0 ? (
        <p className="quiet">{all.length === 0 ? words.log.none : words.log.noMatch}</p>
      ) : (
        <Lines lines={lines} />
      )}
    </>
  )
}

function Find() {
  const { words } = useWords()
  const query = useWatched(fields)
  return (
    <label className="find">
      <Icon name="search" />
      <span className="hidden">{words.rules.find}</span>
      <input
        type="search"
        placeholder={words.log.find}
        value={query.get('find') ?? ''}
        onChange={(event) => setFields({ find: event.target.value }, { typed: true })}
      />
    </label>
  )
}

function isWanted({ level, rule, text }: LogLine, query: URLSearchParams): boolean {
  const kind = query.get('kind') as Kind | null
  if (kind === 'trouble' && level !== 'warn' && level !== 'error') return false
  if (kind === 'refused' && level !== 'refused') return false
  const find = (query.get('find') ?? '').trim().toLowerCase()
  return find === '' || [rule ?? '', text.en, text.ko].some((one) => one.toLowerCase().includes(find))
}

const icons: Readonly<Record<Level, IconName>> = {
  info: 'check',
  warn: 'warning',
  error: 'cross',
  refused: 'none',
}
/** As hops are coloured. */
const tones: Readonly<Record<Level, string>> = {
  info: 'ok',
  warn: 'warning',
  error: 'broken',
  refused: 'off',
}

function Lines({ lines }: { readonly lines: readonly LogLine[] }) {
  const { words, say } = useWords()
  const [most, setMost] = useState(shownAtFirst)
  const rules = useWatched(naru.rules)
  const isThere = (name: string): boolean => rules?.some((rule) => rule.name === name) ?? false
  return (
    <section className="card">
      <ol className="log">
        {lines.slice(0, most).map(({ key, at, level, rule, text, times, lastAt }) => (
          <li key={key} data-state={tones[level]}>
            <span className="stop-mark">
              <Icon name={icons[level]} size={12} />
            </span>
            <time className="quiet figure small-text" dateTime={new Date(at).toISOString()}>
              {whenText(at)}
            </time>
            <span>
              <span className="hidden">{words.log.level[level]}: </span>
              {rule !== null && (
                <>{isThere(rule) ? <a href={linkTo(['rules', rule])}>{rule}</a> : <b>{rule}</b>} </>
              )}
              {say(text)}
              <Again times={times} lastAt={lastAt} />
            </span>
          </li>
        ))}
      </ol>
      {lines.length > most && (
        <button type="button" className="button below" onClick={() => setMost(most + shownAtFirst)}>
          {words.rules.more(lines.length - most)}
        </button>
      )}
    </section>
  )
}
