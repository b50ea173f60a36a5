/** The connections, of which only the rows in sight are drawn: ten thousand scroll like ten. */
import { useMemo, useState } from 'react'
import { closeReasons, type Connection } from '../../../src/model/connection.ts'
import { Choice } from '../parts/choice.tsx'
import { toastError } from '../parts/toasts.tsx'
import { naru } from '../state/naru.ts'
import { useNow } from '../state/now.ts'
import { linkTo } from '../state/place.ts'
import { SortedHead } from '../parts/sorted-head.tsx'
import { useWatched } from '../state/watched.ts'
import { bytesText, durationText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'
import { useConnections } from './known.ts'
import { byColumn, type SortColumn, type Sorting } from './sorting.ts'

const rowHeight = 44
const boxHeight = 528
const spare = 8

type Filter = 'all' | 'open' | 'closed'

export function Connections({ rule }: { readonly rule: string | null }) {
  const { words } = useWords()
  const { connections, cut } = useConnections()
  const [filter, setFilter] = useState<Filter>('all')
  const [sorting, setSorting] = useState<Sorting>({ column: 'age', descending: false })
  const ofRule = useMemo(
    () => (connections ?? []).filter((one) => rule === null || one.rule === rule),
    [connections, rule],
  )
  const shown = useMemo(
    () =>
      ofRule
        .filter(({ state }) => filter === 'all' || (state === 'closed') === (filter === 'closed'))
        .sort(byColumn(sorting)),
    [ofRule, filter, sorting],
  )
  const closed = ofRule.filter(({ state }) => state === 'closed').length
  return (
    <section className="card">
      <div className="card-head">
        <div>
          <h2>{words.traffic.connections}</h2>
          <p className="quiet figure">{words.traffic.count(ofRule.length - closed, closed)}</p>
        </div>
        <Choice
          label={words.traffic.filter}
          hideLabel
          value={filter}
          options={[
            { value: 'all', text: words.traffic.filterAll },
            { value: 'open', text: words.traffic.filterOpen },
            { value: 'closed', text: words.traffic.filterClosed },
          ]}
          onChoose={setFilter}
        />
      </div>
      {shown.length === 0 ? (
        <p className="quiet">{connections === null ? words.link.starting : words.traffic.none}</p>
      ) : (
        <Rows connections={shown} sorting={sorting} onSort={setSorting} onCut={cut} />
      )}
    </section>
  )
}

interface RowsProps {
  readonly connections: readonly Connection[]
  readonly sorting: Sorting
  readonly onSort: (sorting: Sorting) => void
  readonly onCut: (id: string) => Promise<void>
}

function Rows({ connections, sorting, onSort, onCut }: RowsProps) {
  const { words } = useWords()
  const [top, setTop] = useState(0)
  const now = useNow()
  const fit = Math.ceil(boxHeight / rowHeight)
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight) - spare, connections.length - fit))
  const last = Math.min(connections.length, first + fit + 2 * spare)
  const heads: readonly [SortColumn, string][] = [
    ['rule', words.traffic.rule],
    ['client', words.traffic.client],
    ['target', words.traffic.target],
    ['bytes', words.traffic.bytes],
    ['age', words.traffic.age],
    ['state', words.traffic.end],
  ]
  return (
    <div
      className="rows"
      role="region"
      aria-label={words.traffic.connections}
      tabIndex={0}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <table className="figure" aria-rowcount={connections.length + 1}>
        <caption className="hidden">{words.traffic.connections}</caption>
        <thead>
          <tr aria-rowindex={1}>
            {heads.map(([column, text]) => (
              <SortedHead
                key={column}
                column={column}
                text={text}
                order={sorting.column === column ? (sorting.descending ? 'descending' : 'ascending') : null}
                onSort={() =>
                  onSort({ column, descending: sorting.column === column && !sorting.descending })
                }
              />
            ))}
            <th scope="col">
              <span className="hidden">{words.rules.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          <Space height={first * rowHeight} />
          {connections.slice(first, last).map((connection, index) => (
            <Row
              key={connection.id}
              connection={connection}
              index={first + index + 2}
              now={now}
              onCut={onCut}
            />
          ))}
          <Space height={(connections.length - last) * rowHeight} />
        </tbody>
      </table>
    </div>
  )
}

function Space({ height }: { readonly height: number }) {
  return height > 0 ? (
    <tr aria-hidden="true" className="space">
      <td style={{ height }} />
    </tr>
  ) : null
}

interface RowProps {
  readonly connection: Connection
  /** As aria-rowindex counts: the head is 1. */
  readonly index: number
  readonly now: number
  readonly onCut: (id: string) => Promise<void>
}

function Row({ connection, index, now, onCut }: RowProps) {
  const { words, say } = useWords()
  const access = useWatched(naru.access)
  const {
    id,
    rule,
    client,
    target,
    protocol,
    bytesToTarget,
    bytesToClient,
    openedAt,
    closedAt,
    state,
    closeReason,
  } = connection
  return (
    <tr aria-rowindex={index} data-connection={id} data-closed={state === 'closed'}>
      <td>
        <a href={linkTo(['rules', rule])}>{rule}</a>
      </td>
      <th scope="row">
        {client} <span className="quiet small-text">{protocol}</span>
      </th>
      <td data-column="target">{target ?? '–'}</td>
      <td>
        {bytesText(bytesToTarget)} / {bytesText(bytesToClient)}
      </td>
      <td>{durationText((closedAt ?? now) - openedAt, words)}</td>
      <td>{closeReason === null ? words.traffic.state[state] : say(closeReasons[closeReason])}</td>
      <td>
        {access === 'full' && state !== 'closed' && (
          <button
            type="button"
            className="button small"
            aria-label={words.traffic.cutNamed(client)}
            onClick={() => void onCut(id).catch(toastError)}
          >
            {words.traffic.cut}
          </button>
        )}
      </td>
    </tr>
  )
}
