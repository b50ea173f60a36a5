/** `naru router`: who it is, and every port mapping on it. */
import { useState } from 'react'
import type { RouterEntry, RouterView } from '../../../src/model/router.ts'
import { useAsked } from '../parts/ask.ts'
import { PlainTable } from '../parts/columns-table.tsx'
import { Icon } from '../parts/icon.tsx'
import { toastError } from '../parts/toasts.tsx'
import { machine, naru } from '../state/naru.ts'
import { useWatched } from '../state/watched.ts'
import { durationText } from '../words/figures.ts'
import { useWords } from '../words/index.ts'
import { Look } from './look.tsx'

const askInfo = (signal: AbortSignal): Promise<readonly RouterView[]> => machine.router.info({ signal })
const askList = (signal: AbortSignal): Promise<readonly RouterEntry[]> => machine.router.list({ signal })

export function RouterTab() {
  const { words } = useWords()
  const info = useAsked(askInfo)
  const list = useAsked(askList)
  return (
    <>
      <Look title={words.machine.router} asked={info}>
        {(routers) => routers.map((router) => <Router key={router.address} router={router} />)}
      </Look>
      <Look title={words.machine.mappings} asked={list}>
        {(entries) => <Mappings entries={entries} onChange={list.again} />}
      </Look>
    </>
  )
}

function Router({ router }: { readonly router: RouterView }) {
  const { words, say } = useWords()
  const { machine: m } = words
  const rows = [
    [m.address, router.address],
    [m.model, [router.maker, router.model].filter(Boolean).join(' ') || m.unknown],
    [m.external, router.externalAddress ?? m.unknown],
    [m.speaks, router.protocols.join(', ')],
  ] as const
  return (
    <>
      <dl className="facts figure">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p className="quiet below">{say(router.aboveText)}</p>
      {router.page !== null && /^https?:/.test(router.page) && (
        <p className="below">
          <a href={router.page} target="_blank" rel="noreferrer">
            {m.page}
          </a>
        </p>
      )}
    </>
  )
}

interface MappingsProps {
  readonly entries: readonly RouterEntry[]
  readonly onChange: () => void
}

function Mappings({ entries, onChange }: MappingsProps) {
  const { words } = useWords()
  const access = useWatched(naru.access)
  const { machine: m } = words
  const lease = (seconds: number | null): string =>
    seconds === null ? m.permanent : durationText(seconds * 1000, words)
  return (
    <PlainTable
      caption={m.mappings}
      heads={[words.rules.externalPort, m.internal, m.description, m.lease, m.belongs, '']}
      none={m.noMappings}
      rows={entries.map((entry) => ({
        key: `${entry.router}${entry.protocol}${entry.externalPort}`,
        cells: [
          `${entry.externalPort}/${entry.protocol}`,
          `${entry.internalAddress}:${entry.internalPort}`,
          entry.description || '–',
          lease(entry.leaseSecondsLeft),
          entry.rule ?? (entry.here ? m.here : '–'),
          access === 'full' && entry.rule === null && entry.here ? (
            <Remove key="remove" entry={entry} onChange={onChange} />
          ) : null,
        ],
      }))}
    />
  )
}

function Remove({ entry, onChange }: { readonly entry: RouterEntry; readonly onChange: () => void }) {
  const { words } = useWords()
  const [busy, setBusy] = useState(false)
  const what = `${entry.externalPort}/${entry.protocol}`
  const remove = async (): Promise<void> => {
    setBusy(true)
    await machine.router
      .remove(entry, { signal: AbortSignal.timeout(30_000), force: true })
      .then(onChange, toastError)
    setBusy(false)
  }
  return (
    <button
      type="button"
      className="button small"
      disabled={busy}
      aria-label={words.machine.removeNamed(what)}
      onClick={() => void remove()}
    >
      <Icon name="trash" size={14} /> {words.machine.remove}
    </button>
  )
}
