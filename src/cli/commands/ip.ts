/** `naru ip`: interfaces, private and public addresses, gateway, DNS, and what NAT is above. */
import { say, verbatim, type Text } from '../../base/text.ts'
import type { MachineAddresses, MachineInterface, PublicAddress } from '../../model/machine.ts'
import { internet, withMachine } from '../with-machine.ts'
import type { Printer } from '../print/printer.ts'
import { table } from '../print/table.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'ip',
  summary: say('interfaces, private and public address, gateway, what NAT is above'),
  options: [internet, { name: 'all', text: say('also interfaces that are down') }],
  examples: [
    {
      command: 'naru ip --internet',
      text: say('and the address the internet sees'),
    },
  ],
  json: verbatim(
    'MachineAddresses: {interfaces, gateways, nameServers, publicAddresses, routers, nat, natText, notes}',
  ),
  async run(context) {
    const { print, json, io } = context
    const mayAskInternet = context.switched('internet')
    const asking = print.say(say('asking the router…'))
    if (!json && io.stderr.isTTY) io.stderr.write(asking)
    const answer = await withMachine(context, (machine, options) =>
      machine.addresses({ ...options, mayAskInternet }),
    ).finally(() => {
      if (!json && io.stderr.isTTY) io.stderr.write('\r\u001B[2K')
    })
    if (json) print.json(answer)
    else for (const line of lines(answer, print, context.switched('all'))) print.data(line)
    for (const note of json ? [] : answer.notes)
      print.talk(`${print.paintTalk.yellow('!')} ${print.say(note)}`)
    return 0
  },
}

function lines(answer: MachineAddresses, print: Printer, all: boolean): string[] {
  const t = (text: Text): string => print.say(text)
  const { dim, bold } = print.paint
  const shown = answer.interfaces
    .filter(({ up, addresses }) => all || (up && addresses.length > 0))
    .toSorted((a, b) => placeOf(a) - placeOf(b))
  const rows = shown.flatMap((card) => rowsOf(card, print))
  const columns = [say('INTERFACE'), say('KIND'), say('ADDRESS'), say('SCOPE'), verbatim('')]
  const found: string[] = table(
    columns.map((title) => ({ title: t(title) })),
    rows,
  )
  found.push('')
  for (const { family, address, interface: name } of answer.gateways)
    found.push(`${t(say('gateway'))} IPv${family}: ${address ?? t(say('on the link'))} ${dim(`(${name})`)}`)
  if (answer.nameServers.length > 0) found.push(`DNS: ${answer.nameServers.join(', ')}`)
  for (const seen of alike(answer.publicAddresses, ({ address }) => address)) {
    const [{ address }] = seen
    const doubt = seen.every(({ reachable }) => reachable)
      ? ''
      : ` ${print.paint.yellow(t(say('not reachable from the internet')))}`
    const by = alike(seen, ({ seenBy }) => seenBy).map(
      (some) => `${t(seers[some[0].seenBy])}: ${some.map((one) => one.by).join(', ')}`,
    )
    found.push(`${t(say('public address'))}: ${bold(address)} ${dim(`(${by.join('; ')})`)}${doubt}`)
  }
  for (const box of alike(answer.routers, ({ address }) => address)) {
    const [{ address }] = box
    const named = box.find(({ maker, model }) => maker ?? model)
    const name = [named?.maker, named?.model].filter(Boolean).join(' ') || address
    const page = box.find((one) => one.page !== null)?.page ?? (name === address ? null : address)
    const spoken = box.map(({ protocol }) => protocol)
    found.push(
      `${t(say('router'))}: ${name} ${dim(`(${[...spoken, ...(page === null ? [] : [page])].join(', ')})`)}`,
    )
  }
  found.push(`NAT: ${t(answer.natText)}`)
  return found
}

/** Those with the same key, in the order of their first: one box speaks several protocols. */
function alike<T>(all: readonly T[], keyOf: (one: T) => string): readonly (readonly [T, ...T[]])[] {
  const groups = new Map<string, [T, ...T[]]>()
  for (const one of all) {
    const group = groups.get(keyOf(one))
    if (group) group.push(one)
    else groups.set(keyOf(one), [one])
  }
  return [...groups.values()]
}

const seers: Readonly<Record<PublicAddress['seenBy'], Text>> = {
  interface: say('interface'),
  router: say('router'),
  stun: say('STUN server'),
}

/** The address that others of this network type stands first, and loopback, which nobody asks for, last. */
const placeOf = ({ facesLan, kind }: MachineInterface): number => (facesLan ? 0 : kind === 'loopback' ? 2 : 1)

const kinds: Readonly<Record<MachineInterface['kind'], Text>> = {
  ethernet: say('ethernet'),
  wifi: verbatim('Wi-Fi'),
  loopback: say('loopback'),
  vpn: verbatim('VPN'),
  vm: verbatim('VM'),
  container: say('container'),
  other: say('other'),
}

const scopes: Readonly<Record<MachineInterface['addresses'][number]['scope'], Text>> = {
  public: say('public'),
  private: say('private'),
  'carrier-grade': say('carrier-grade NAT'),
  'link-local': say('link-local'),
  loopback: say('this machine'),
  other: say('other'),
}

function rowsOf(card: MachineInterface, print: Printer): string[][] {
  const { name, kind, addresses, facesLan, up } = card
  const mark = facesLan ? print.paint.green(print.say(say('← faces the LAN'))) : ''
  const first = [name, print.say(kinds[kind])]
  if (addresses.length === 0) return [[...first, up ? '-' : print.say(say('down')), '', mark]]
  return addresses.map(({ address, bits, scope }, at) => [
    ...(at === 0 ? first : ['', '']),
    `${address}/${bits}`,
    print.say(scopes[scope]),
    at === 0 ? mark : '',
  ])
}
