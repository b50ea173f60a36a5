/** `naru ports`: listening sockets with their process and service: what `netstat -ano` shows, and whose it is. */
import { systemClock } from '../../base/clock.ts'
import { formatEndpoint } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import {
  portSorts,
  type MachinePorts,
  type PortReach,
  type PortRow,
  type PortsOptions,
} from '../../model/machine.ts'
import type { Protocol } from '../../base/port.ts'
import { parsePort } from '../../base/port.ts'
import { lookAt } from '../look.ts'
import type { Printer } from '../print/printer.ts'
import { table } from '../print/table.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'ports',
  summary: say(
    'listening sockets with process and service (netstat -ano)',
    '수신 대기 중인 포트와 프로세스, 서비스 (netstat -ano)',
  ),
  arguments: [
    {
      name: 'FIND',
      text: say(
        'a port, or part of a process, service or address',
        '포트 번호, 또는 프로세스·서비스·주소의 일부',
      ),
      optional: true,
    },
  ],
  options: [
    { name: 'find', value: 'FIND', text: say('the same', '위와 같음') },
    { name: 'all', short: 'a', text: say('connections too', '연결까지') },
    { name: 'tcp', text: say('TCP alone', 'TCP만') },
    { name: 'udp', text: say('UDP alone', 'UDP만') },
    { name: 'sort', value: 'COLUMN', choices: portSorts, text: say('order', '정렬 기준') },
    { name: 'watch', short: 'w', text: say('again every two seconds', '2초마다 다시') },
  ],
  examples: [
    { command: 'naru ports 8888', text: say('who listens on 8888?', '8888을 쓰는 프로그램은?') },
    { command: 'naru ports nginx --all', text: say('nginx and its connections', 'nginx와 그 연결') },
  ],
  json: say('MachinePorts: {rows, unseen}', 'MachinePorts: {rows, unseen}'),
  async run(context) {
    const { print, json, io } = context
    const options = optionsFrom(context)
    const watching = context.switched('watch') && !json
    const once = (): Promise<MachinePorts> =>
      lookAt(context, context.deps.ports({ file: context.file }), (machine, asking) =>
        machine.ports({ ...options, ...asking }),
      )
    for (;;) {
      const answer = await once()
      if (json) {
        print.json(answer)
        return 0
      }
      if (watching && io.stdout.isTTY) io.stdout.write('\u001B[H\u001B[2J')
      print.data(lines(answer, print, options.all ?? false).join('\n'))
      if (answer.unseen) print.talk(`${print.paintTalk.yellow('!')} ${print.say(answer.unseen)}`)
      if (!watching) return 0
      await pause(context.interrupt())
      if (context.interrupt().aborted) return 0
    }
  },
}

async function pause(signal: AbortSignal): Promise<void> {
  const alive = setInterval(() => {}, 1000)
  await systemClock.sleep(2000, signal).catch(() => {})
  clearInterval(alive)
}

function optionsFrom(context: Context): PortsOptions {
  const find = context.args('FIND')[0] ?? context.option('find') ?? undefined
  const sort = portSorts.find((one) => one === context.option('sort'))
  const only: Protocol[] = (['tcp', 'udp'] as const).filter((protocol) => context.switched(protocol))
  return {
    all: context.switched('all'),
    ...(only.length === 1 && only[0] ? { protocol: only[0] } : {}),
    ...(find === undefined ? {} : /^\d+$/.test(find) ? { port: parsePort(find) } : { find }),
    ...(sort === undefined ? {} : { sort }),
  }
}

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

function lines({ rows }: MachinePorts, print: Printer, all: boolean): string[] {
  const t = (text: Text): string => print.say(text)
  const titles = [
    say('PROTO', '프로토콜'),
    say('ADDRESS', '주소'),
    ...(all ? [say('PEER', '상대'), say('STATE', '상태')] : []),
    say('SERVICE', '서비스'),
    say('PROCESS', '프로세스'),
    say('REACH', '접근 범위'),
    say('BELONGS TO', '소속'),
  ]
  const cells = (row: PortRow): string[] => [
    row.protocol,
    formatEndpoint(row.address, row.port),
    ...(all ? [row.peer ? formatEndpoint(row.peer.address, row.peer.port) : '', t(states[row.state])] : []),
    row.service ?? '',
    row.process ? `${row.process.name} (${row.process.pid})` : '-',
    row.peer ? '' : t(reaches[row.reach]),
    row.belongsTo
      ? print.paint.green(`${row.belongsTo.kind === 'rule' ? 'naru:' : ''}${row.belongsTo.name}`)
      : '',
  ]
  return table(
    titles.map((title) => ({ title: t(title) })),
    rows.map(cells),
  )
}
