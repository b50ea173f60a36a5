/** `naru ports`: listening sockets with their process and service: what `netstat -ano` shows, and whose it is. */
import { parsePort, type Protocol } from '../../base/port.ts'
import { say } from '../../base/text.ts'
import { portSorts, type MachinePorts, type PortsOptions } from '../../model/machine.ts'
import { lookAt } from '../with-machine.ts'
import { portTable } from '../ports/table.ts'
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
    { name: 'watch', short: 'w', text: say('live, read every two seconds', '2초마다 다시 읽어 실시간으로') },
  ],
  examples: [
    { command: 'naru ports 8888', text: say('who listens on 8888?', '8888을 쓰는 프로그램은?') },
    { command: 'naru ports nginx --all', text: say('nginx and its connections', 'nginx와 그 연결') },
  ],
  about: say(
    'On a terminal --watch is a full screen with what came and what went marked: ↑ ↓ PgUp PgDn move, s sorts, a shows connections, q quits. Off one it prints the table, then a line for each change.',
    '터미널에서 --watch는 새로 생기거나 사라진 것을 표시하는 전체 화면입니다: ↑ ↓ PgUp PgDn 이동, s 정렬, a 연결 표시, q 종료. 터미널이 아니면 표를 출력한 뒤 바뀐 것만 한 줄씩 출력합니다.',
  ),
  json: say(
    'MachinePorts: {rows, unseen}; with --watch a line each time it differs',
    'MachinePorts: {rows, unseen}. --watch와 함께 쓰면 바뀔 때마다 한 줄',
  ),
  async run(context) {
    const { print, json, switched } = context
    const asked = optionsFrom(context)
    const look = (options: PortsOptions): Promise<MachinePorts> =>
      lookAt(context, context.deps.ports({ file: context.file }), (machine, asking) =>
        machine.ports({ ...options, ...asking }),
      )
    if (switched('watch')) {
      const { watchPorts } = await import('../ports/watch.ts')
      await watchPorts(context, asked, look)
      return 0
    }
    const seen = await look(asked)
    if (json) print.json(seen)
    else if (seen.rows.length > 0) print.data(portTable(seen.rows, print, asked.all ?? false).join('\n'))
    else print.talk(noPort)
    if (seen.unseen && !json) print.talk(`${print.paintTalk.yellow('!')} ${print.say(seen.unseen)}`)
    return 0
  },
}

const noPort = say('Nobody listens there, as far as can be seen.', '수신 대기 중인 프로그램이 없습니다.')

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
