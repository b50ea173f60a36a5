/** `naru guests`: the VMs and containers that a target can name. */
import { say, verbatim, type Text } from '../../base/text.ts'
import { guestName, type Guest } from '../../model/guest.ts'
import type { GuestsReport } from '../../model/machine-api.ts'
import { withMachine } from '../with-machine.ts'
import type { Printer } from '../print/printer.ts'
import { table } from '../print/table.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'guests',
  summary: say('VMs and containers that a target can name'),
  options: [
    {
      name: 'all',
      short: 'a',
      text: say('also which hypervisors were looked for'),
    },
  ],
  examples: [
    {
      command: 'naru guests',
      text: say('then: naru open 8888 KIND:NAME:80'),
    },
  ],
  json: verbatim('{guests: Guest[], kinds: [{kind, here, listed, why}]}'),
  async run(context) {
    const { print, json } = context
    const answer = await withMachine(context, (machine, options) => machine.guests(options))
    if (json) print.json(answer)
    else for (const line of lines(answer, print, context.switched('all'))) print.data(line)
    return 0
  },
}

const states: Readonly<Record<Guest['state'], Text>> = {
  running: say('running'),
  stopped: say('stopped'),
  paused: say('paused'),
  unknown: say('unknown'),
}

function lines({ guests, kinds }: GuestsReport, print: Printer, all: boolean): string[] {
  const t = (text: Text): string => print.say(text)
  const titles = [say('TARGET'), say('STATE'), say('ADDRESS'), say('FORWARDS')]
  const rows = guests.map((guest) => [
    `${guest.kind}:${guestName(guest, guests)}`,
    t(states[guest.state]),
    guest.addresses.join(', ') || '-',
    guest.forwards
      .map(
        ({ hostAddress, hostPort, guestPort, protocol, ours }) =>
          `${hostAddress ?? '*'}:${hostPort}→${guestPort}/${protocol}${ours ? ' (naru)' : ''}`,
      )
      .join(', '),
  ])
  const found =
    guests.length > 0
      ? table(
          titles.map((title) => ({ title: t(title) })),
          rows,
        )
      : [t(say('There are no guests here.'))]
  const told = kinds.filter(({ here, listed }) => all || (here && (!listed || guests.length === 0)))
  if (told.length > 0)
    found.push(
      '',
      ...told.map(({ kind, here, listed, why }) => `${listed ? '✓' : here ? '!' : '·'} ${kind}: ${t(why)}`),
    )
  return found
}
