/** `naru ip`: private and public address, gateway, what NAT is above, and the interfaces. */
import type { MachineAddresses } from '../../../src/model/machine.ts'
import { useAsked } from '../parts/ask.ts'
import { PlainTable } from '../parts/columns-table.tsx'
import { machine } from '../state/naru.ts'
import { useWords } from '../words/index.ts'
import { Look } from './look.tsx'

const ask = (signal: AbortSignal): Promise<MachineAddresses> => machine.addresses({ signal })

export function AddressesTab() {
  const { words } = useWords()
  const asked = useAsked(ask)
  return (
    <Look title={words.machine.addresses} asked={asked}>
      {(value) => (
        <>
          <Facts value={value} />
          <h3>{words.machine.interfaces}</h3>
          <Interfaces value={value} />
        </>
      )}
    </Look>
  )
}

function Facts({
  value: { interfaces, publicAddresses, gateways, nat, natText, nameServers, notes },
}: Value) {
  const { words, say } = useWords()
  const lan = interfaces.find(({ facesLan }) => facesLan)
  const held = lan?.addresses.filter(({ scope }) => scope !== 'link-local') ?? []
  // A public one stands among the public ones; a server may have no other.
  const kept = held.filter(({ scope }) => scope !== 'public')
  const own = (kept.length > 0 ? kept : held).map(({ address }) => address)
  // One router tells it by each protocol that it speaks.
  const told = publicAddresses.filter(
    ({ address, seenBy }, at) =>
      publicAddresses.findIndex((one) => one.address === address && one.seenBy === seenBy) === at,
  )
  const outside = told.map(
    ({ address, seenBy, reachable }) =>
      `${address} (${words.machine.seenBy[seenBy]}${reachable ? '' : `, ${words.machine.unreachable}`})`,
  )
  const ways = gateways.flatMap(({ address, interface: on }) =>
    address === null ? [] : [`${address} (${on})`],
  )
  const rows = [
    [words.machine.private, own],
    [words.machine.public, outside],
    [words.machine.gateway, ways],
    [words.machine.nameServers, nameServers],
    [words.machine.nat, [words.machine.natKind[nat]]],
  ] as const
  return (
    <>
      <dl className="facts figure">
        {rows.map(([name, values]) => (
          <div key={name}>
            <dt>{name}</dt>
            {(values.length > 0 ? values : [words.machine.unknown]).map((one) => (
              <dd key={one}>{one}</dd>
            ))}
          </div>
        ))}
      </dl>
      <p className="quiet below">{say(natText)}</p>
      {notes.map((note) => (
        <p key={note.en} className="note">
          {say(note)}
        </p>
      ))}
    </>
  )
}

interface Value {
  readonly value: MachineAddresses
}

function Interfaces({ value: { interfaces } }: Value) {
  const { words } = useWords()
  const { machine: m } = words
  return (
    <PlainTable
      caption={m.interfaces}
      heads={[m.interface, m.kind, m.addresses, m.mac]}
      none={m.unknown}
      rows={interfaces.map(({ name, kind, up, mac, addresses, facesLan }) => ({
        key: name,
        cells: [
          name,
          [m.kinds[kind], up ? '' : m.down, facesLan ? m.lan : ''].filter(Boolean).join(', '),
          addresses.map(({ address, bits }) => <div key={address}>{`${address}/${bits}`}</div>),
          mac ?? '–',
        ],
      }))}
    />
  )
}
