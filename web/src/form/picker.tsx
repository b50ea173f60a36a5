/** What was found on this machine that a rule could lead to: services that listen, guests, neighbours. */
import { useState } from 'react'
import type { Guest } from '../../../src/model/guest.ts'
import type { PortRow } from '../../../src/model/machine.ts'
import { Icon } from '../parts/icon.tsx'
import { isOurs } from '../machine/own.ts'
import { machine, naru } from '../state/naru.ts'
import { useWords } from '../words/index.ts'
import type { Words } from '../words/en.ts'
import type { Draft } from './draft.ts'

export type Picked = Pick<Draft, 'target'> & Partial<Pick<Draft, 'internalPort' | 'protocol' | 'name'>>

interface Choice {
  readonly title: string
  readonly detail: string
  readonly picked: Picked
}

type Found = Readonly<Record<'pickSockets' | 'pickGuests' | 'pickNeighbours', readonly Choice[]>>

const mostOfAKind = 60
const limitMs = 15_000

export function TargetPicker({ onPick }: { readonly onPick: (picked: Picked) => void }) {
  const { words } = useWords()
  const [open, setOpen] = useState(false)
  const [found, setFound] = useState<Found | null>(null)
  const show = (): void => {
    setOpen(!open)
    if (!open) void look(words).then(setFound)
  }
  return (
    <div className="picker">
      <button type="button" className="button small" aria-expanded={open} onClick={show}>
        <Icon name="search" size={14} /> {words.form.pick}
      </button>
      {open && (
        <div className="picker-list" role="group" aria-label={words.form.pickHint}>
          {found === null ? (
            <p className="quiet">{words.form.pickLoading}</p>
          ) : (
            <Groups
              found={found}
              onPick={(picked) => {
                setOpen(false)
                onPick(picked)
              }}
            />
          )}
        </div>
      )}
    </div>
  )
}

function Groups({ found, onPick }: { readonly found: Found; readonly onPick: (picked: Picked) => void }) {
  const { words } = useWords()
  const groups = (Object.keys(found) as (keyof Found)[]).filter((group) => found[group].length > 0)
  if (groups.length === 0) return <p className="quiet">{words.form.pickNone}</p>
  return groups.map((group) => (
    <section key={group}>
      <h3>{words.form[group]}</h3>
      <ul>
        {found[group].map((choice) => (
          <li key={choice.title + choice.detail}>
            <button type="button" onClick={() => onPick(choice.picked)}>
              <span className="figure">{choice.title}</span>
              <span className="quiet">{choice.detail}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  ))
}

/** What cannot be looked at is left out: the address can be typed. */
async function look(words: Words): Promise<Found> {
  const signal = AbortSignal.timeout(limitMs)
  const pid = naru.about.value?.pid
  const or = <T,>(asked: Promise<readonly T[]>): Promise<readonly T[]> => asked.catch(() => [])
  const [ports, guests, neighbours] = await Promise.all([
    or(machine.ports({ signal }).then(({ rows }) => rows.filter((row) => !isOurs(row, pid)))),
    or(machine.guests({ signal }).then((report) => report.guests)),
    or(machine.neighbours({ signal })),
  ])
  return {
    pickSockets: socketChoices(ports, words),
    pickGuests: guests.map((guest) => guestChoice(guest, words)),
    pickNeighbours: neighbours
      .filter(({ address }) => !address.startsWith('fe80:'))
      .slice(0, mostOfAKind)
      .map(({ address, mac }) => ({ title: address, detail: mac, picked: { target: address } })),
  }
}

/** One choice a port, without what is ours already. */
function socketChoices(rows: readonly PortRow[], words: Words): readonly Choice[] {
  const seen = new Set<string>()
  const choices: Choice[] = []
  for (const row of rows) {
    const key = `${row.protocol}/${row.port}`
    if (row.belongsTo?.kind === 'rule' || row.state !== 'listening' || seen.has(key)) continue
    seen.add(key)
    choices.push({
      title: `${row.port}/${row.protocol}`,
      detail: [row.process?.name, row.service, words.machine.reachKind[row.reach]]
        .filter(Boolean)
        .join(' · '),
      picked: {
        target: row.reach === 'lan' || row.address === '127.0.0.1' ? '' : row.address,
        internalPort: String(row.port),
        protocol: row.protocol,
      },
    })
  }
  return choices.slice(0, mostOfAKind)
}

export function guestChoice({ kind, name, state, addresses }: Guest, words: Words): Choice {
  return {
    title: `${kind}:${name}`,
    detail: [words.machine.guestState[state], addresses[0]].filter(Boolean).join(' · '),
    picked: { target: `${kind}:${name}` },
  }
}
