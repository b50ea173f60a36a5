/** `naru ports`: what listens here, whose it is and who can get to it; one click to a rule that leads there. */
import { useDeferredValue, useState } from 'react'
import type { MachinePorts, PortRow } from '../../../src/model/machine.ts'
import { useAsked } from '../parts/ask.ts'
import { PlainTable } from '../parts/columns-table.tsx'
import { Icon } from '../parts/icon.tsx'
import { machine, naru } from '../state/naru.ts'
import { linkTo } from '../state/place.ts'
import { useWatched } from '../state/watched.ts'
import { useWords } from '../words/index.ts'
import { Look } from './look.tsx'
import { NewRule } from './new-rule.tsx'
import { isOurs } from './own.ts'

const ask = (signal: AbortSignal): Promise<MachinePorts> => machine.ports({ signal })
const mostShown = 300

export function PortsTab() {
  const { words, say } = useWords()
  const asked = useAsked(ask)
  const [find, setFind] = useState('')
  const wanted = useDeferredValue(find.trim().toLowerCase())
  return (
    <Look title={words.machine.ports} asked={asked}>
      {({ rows, unseen }) => (
        <>
          <label className="find below">
            <Icon name="search" />
            <span className="hidden">{words.rules.find}</span>
            <input
              type="search"
              placeholder={`${words.machine.port}, ${words.machine.process}, ${words.machine.service}`}
              value={find}
              onChange={(event) => setFind(event.target.value)}
            />
          </label>
          <Rows
            rows={rows.filter((row) => wanted === '' || textOf(row).includes(wanted)).slice(0, mostShown)}
          />
          {unseen && <p className="note">{say(unseen)}</p>}
        </>
      )}
    </Look>
  )
}

function textOf({ port, protocol, address, process, service, belongsTo }: PortRow): string {
  return `${port}/${protocol} ${address} ${process?.name ?? ''} ${service ?? ''} ${belongsTo?.name ?? ''}`.toLowerCase()
}

function Rows({ rows }: { readonly rows: readonly PortRow[] }) {
  const { words } = useWords()
  const pid = useWatched(naru.about)?.pid
  const { machine: m } = words
  return (
    <PlainTable
      caption={m.ports}
      heads={[m.port, m.address, m.process, m.service, m.reach, m.belongs, '']}
      none={m.noPorts}
      rows={rows.map((row) => ({
        key: `${row.protocol}${row.address}${row.port}${row.process?.pid ?? ''}`,
        cells: [
          `${row.port}/${row.protocol}`,
          row.address,
          row.process ? `${row.process.name} (${row.process.pid})` : '–',
          row.service ?? '–',
          m.reachKind[row.reach],
          <Owner key="owner" row={row} />,
          row.belongsTo?.kind === 'rule' || isOurs(row, pid) ? null : (
            <NewRule key="new" what={`${row.port}/${row.protocol}`} fields={fieldsOf(row)} />
          ),
        ],
      }))}
    />
  )
}

function Owner({ row: { belongsTo } }: { readonly row: PortRow }) {
  const { words } = useWords()
  if (belongsTo === null) return <>–</>
  if (belongsTo.kind === 'guest') return <>{`${words.machine.guest} ${belongsTo.name}`}</>
  return <a href={linkTo(['rules', belongsTo.name])}>{belongsTo.name}</a>
}

function fieldsOf({ reach, address, port, protocol, service }: PortRow): Record<string, string> {
  const here = reach === 'lan' || address.startsWith('127.') || address === '::1'
  const outside = port + 8000 <= 65_535 ? port + 8000 : port - 8000
  return {
    ...(service !== null && { name: service }),
    ...(here ? {} : { target: address }),
    internalPort: String(port),
    externalPort: String(outside),
    protocol,
  }
}
