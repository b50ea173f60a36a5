/** What happened lately, live: what Naru said, whom it refused, and what became of the file. */
import { useDeferredValue, useMemo, useState } from 'react'
import type { Text } from '../../../src/base/text.ts'
import { closeReasons, type CloseReason } from '../../../src/model/connection.ts'
import type { Happening } from '../../../src/model/face.ts'
import { Icon, type IconName } from '../parts/icon.tsx'
import { keyOf } from '../state/happenings.ts'
import { naru } from '../state/naru.ts'
import { fields, linkTo, setFields } from '../state/place.ts'
import { useCalm, useWatched } from '../state/watched.ts'
import { en } from '../words/en.ts'
import { ko } from '../words/ko.ts'
import { useWords } from '../words/index.ts'

const kinds = ['all', 'trouble', 'refused'] as const
type Kind = (typeof kinds)[number]

type Level = 'info' | 'warn' | 'error' | 'refused'

interface Line {
  readonly key: string
  readonly at: number
  readonly level: Level
  readonly rule: string | null
  readonly text: Text
}

const shownAtFirst = 100

export default function LogPage() {
  const { words } = useWords()
  const all = useCalm(naru.happenings.all)
  const query = useDeferredValue(useWatched(fields))
  const lines = useMemo(() => all.map(lineOf).toReversed(), [all])
  const shown = useMemo(() => lines.filter((line) => isWanted(line, query)), [lines, query])
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
      {shown.length === 0 ? (
        <p className="quiet">{lines.length === 0 ? words.log.none : words.log.noMatch}</p>
      ) : (
        <Lines lines={shown} />
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

function lineOf(one: Happening): Line {
  const line = { key: keyOf(one), at: one.at }
  if (one.type === 'log') return { ...line, level: one.level, rule: one.rule, text: one.text }
  if (one.type === 'refused') {
    const { rule, client, reason } = one
    const why = closeReasons[reason as CloseReason] ?? { en: reason, ko: reason }
    const text = { en: en.log.refused(client, why.en), ko: ko.log.refused(client, why.ko) }
    return { ...line, level: 'refused', rule, text }
  }
  const text = one.problem?.message ?? { en: en.log.fileGood, ko: ko.log.fileGood }
  return { ...line, level: one.problem ? 'error' : 'info', rule: null, text }
}

function isWanted({ level, rule, text }: Line, query: URLSearchParams): boolean {
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

function Lines({ lines }: { readonly lines: readonly Line[] }) {
  const { words, say } = useWords()
  const [most, setMost] = useState(shownAtFirst)
  return (
    <section className="card">
      <ol className="log">
        {lines.slice(0, most).map(({ key, at, level, rule, text }) => (
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
                <>
                  <a href={linkTo(['rules', rule])}>{rule}</a>{' '}
                </>
              )}
              {say(text)}
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

/** With its day, where that is not today. */
function whenText(at: number): string {
  const when = new Date(at)
  const time = when.toLocaleTimeString()
  return when.toDateString() === new Date().toDateString() ? time : `${when.toLocaleDateString()} ${time}`
}
