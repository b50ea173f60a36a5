/** `naru ports`: listening sockets with their process and service: what `netstat -ano` shows, and whose it is. */
import { parsePort, type Protocol } from '../../base/port.ts'
import { say } from '../../base/text.ts'
import { portSorts, type MachinePorts, type PortsOptions } from '../../model/machine.ts'
import { lookAt } from '../with-machine.ts'
import { portTable } from '../ports/table.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'ports',
  summary: say('listening sockets with process and service (netstat -ano)'),
  arguments: [
    {
      name: 'FIND',
      text: say('a port, or part of a process, service or address'),
      optional: true,
    },
  ],
  options: [
    { name: 'find', value: 'FIND', text: say('the same') },
    { name: 'all', short: 'a', text: say('connections too') },
    { name: 'tcp', text: say('TCP alone') },
    { name: 'udp', text: say('UDP alone') },
    { name: 'sort', value: 'COLUMN', choices: portSorts, text: say('order') },
    { name: 'watch', short: 'w', text: say('live, read every two seconds') },
  ],
  examples: [
    { command: 'naru ports 8888', text: say('who listens on 8888?') },
    { command: 'naru ports nginx --all', text: say('nginx and its connections') },
  ],
  about: say(
    'On a terminal --watch is a full screen with what came and what went marked: ↑ ↓ PgUp PgDn move, s sorts, a shows connections, q quits. Off one it prints the table, then a line for each change.',
  ),
  json: say('MachinePorts: {rows, unseen}; with --watch a line each time it differs'),
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

const noPort = say('Nobody listens there, as far as can be seen.')

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
