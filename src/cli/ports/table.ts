/** Sockets as lines of a table: one title and one cell a column, in the person's language. */
import { formatEndpoint } from '../../base/address.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { PortReach, PortRow } from '../../model/machine.ts'
import type { Printer } from '../print/printer.ts'
import { table } from '../print/table.ts'

const reaches: Readonly<Record<PortReach, Text>> = {
  lan: verbatim('LAN'),
  machine: say('this machine'),
  guests: say('guests'),
  vpn: verbatim('VPN'),
}

const states: Readonly<Record<PortRow['state'], Text>> = {
  listening: say('listening'),
  established: say('established'),
  'syn-received': say('syn-received'),
  other: say('other'),
}

/** @param all with the columns of connections. @returns the titles, then a line each */
export function portTable(rows: readonly PortRow[], print: Printer, all: boolean): string[] {
  const titles = [
    say('PROTO'),
    say('ADDRESS'),
    ...(all ? [say('PEER'), say('STATE')] : []),
    say('SERVICE'),
    say('PROCESS'),
    say('REACH'),
    say('BELONGS TO'),
  ]
  return table(
    titles.map((title) => ({ title: print.say(title) })),
    rows.map((row) => portCells(row, print, all)),
  )
}

export function portCells(row: PortRow, print: Printer, all: boolean): string[] {
  const { protocol, address, port, peer, state, service, process, reach, belongsTo } = row
  const connection = [peer ? formatEndpoint(peer.address, peer.port) : '', print.say(states[state])]
  return [
    protocol,
    formatEndpoint(address, port),
    ...(all ? connection : []),
    service ?? '',
    process ? `${process.name} (${process.pid})` : '-',
    peer ? '' : print.say(reaches[reach]),
    belongsTo ? print.paint.green(`${belongsTo.kind === 'rule' ? 'naru:' : ''}${belongsTo.name}`) : '',
  ]
}
