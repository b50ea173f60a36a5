/** `naru guests`: VMs and containers, and where Naru looked for them. */
import { guestName, type Guest } from '../../../src/model/guest.ts'
import type { GuestsReport } from '../../../src/model/machine-api.ts'
import { useAsked } from '../parts/ask.ts'
import { PlainTable } from '../parts/columns-table.tsx'
import { Said } from '../parts/said.tsx'
import { machine } from '../state/naru.ts'
import { useWords } from '../words/index.ts'
import { Look } from './look.tsx'
import { NewRule } from './new-rule.tsx'

const ask = (signal: AbortSignal): Promise<GuestsReport> => machine.guests({ signal })

export function GuestsTab() {
  const { words } = useWords()
  const asked = useAsked(ask)
  return (
    <Look title={words.machine.guests} asked={asked}>
      {({ guests, kinds }) => (
        <>
          <Guests guests={guests} />
          <h3>{words.machine.looked}</h3>
          <dl className="pairs">
            {kinds.map(({ kind, here, listed, why }) => (
              <div key={kind}>
                <dt>{kind}</dt>
                <dd className="quiet">
                  {here && !listed && '! '}
                  <Said text={why} />
                </dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </Look>
  )
}

function Guests({ guests }: { readonly guests: readonly Guest[] }) {
  const { words } = useWords()
  const { machine: m } = words
  return (
    <PlainTable
      caption={m.guests}
      heads={[m.guest, words.traffic.end, m.addresses, m.forwards, '']}
      none={m.noGuests}
      rows={guests.map((guest) => ({
        key: `${guest.kind}:${guest.id}`,
        cells: [
          `${guest.kind}:${guestName(guest, guests)}`,
          m.guestState[guest.state],
          guest.addresses.join(', ') || '–',
          guest.forwards.map(({ protocol, hostPort, guestPort, ours }) => (
            <div key={`${protocol}${hostPort}`}>
              {`${hostPort} → ${guestPort}/${protocol}`}
              {ours && ` (${m.ours})`}
            </div>
          )),
          <NewRule
            key="new"
            what={`${guest.kind}:${guestName(guest, guests)}`}
            fields={{ target: `${guest.kind}:${guestName(guest, guests)}` }}
          />,
        ],
      }))}
    />
  )
}
