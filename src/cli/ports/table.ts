/** Sockets as lines of a table: one title and one cell a column, in the person's language. */
import { formatEndpoint } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import type { PortReach, PortRow } from '../../model/machine.ts'
import type { Printer } from '../print/printer.ts'
import { table } from '../print/table.ts'

const reaches: Readonly<Record<PortReach, Text>> = {
  lan: say('LAN', 'LAN'),
  machine: say('this machine', '이 컴퓨터'),
  guests: say('guests', '게스트'),
  vpn: say('VPN', 'VPN'),
}

const states: Readonly<Record<PortRow['state'], Text>> = {
  listening: say('listening', '수신 대기'),
  established: say('established', '연결됨'),
  'syn-received': say('syn-received', '연결 중(SYN)'),
  other: say('other', '기타'),
}

/** @param all with the columns of connections. @returns the titles, then a line each */
export function portTable(rows: readonly PortRow[], print: Printer, all: boolean): string[] {
  const titles = [
    say('PROTO', '프로토콜'),
    say('ADDRESS', '주소'),
    ...(all ? [say('PEER', '상대'), say('STATE', '상태')] : []),
    say('SERVICE', '서비스'),
    say('PROCESS', '프로세스'),
    say('REACH', '접근 범위'),
    say('BELONGS TO', '소속'),
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
