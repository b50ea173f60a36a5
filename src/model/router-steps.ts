/**
 * The rows to type where a router does not open ports by itself: which page, which fields, in the words of that
 * maker's own pages. Pure: from the maker and the rule to what stands on the screen.
 */
import { formatCidr, type Cidr } from '../base/address.ts'
import { formatPortRange, type PortRange, type Protocol } from '../base/port.ts'
import { say, sayOf, verbatim, type Text } from '../base/text.ts'

export const makers = [
  'asus',
  'openwrt',
  'pfsense',
  'unifi',
  'tp-link',
  'iptime',
  'kt',
  'fritzbox',
  'generic',
] as const
export type Maker = (typeof makers)[number]

export interface RowWish {
  readonly name: string
  readonly protocols: readonly Protocol[]
  readonly externalPorts: PortRange
  readonly internalPorts: PortRange
  readonly internalAddress: string
  readonly allow: readonly Cidr[]
}

export interface StepField {
  /** As the page calls it. */
  readonly label: Text
  readonly value: string
}

export interface RouterSteps {
  readonly maker: Maker
  /** To open in a browser on this network. */
  readonly url: string
  /** Where to click from there. */
  readonly path: Text
  /** One list of fields a row to add. */
  readonly rows: readonly (readonly StepField[])[]
  /** What to press afterwards, and what the page cannot do. */
  readonly notes: readonly Text[]
}

/** By what a router says of itself (UPnP description) or a page's address; `generic` where nothing is known. */
export function makerOf({ maker, model }: { maker: string | null; model: string | null }): Maker {
  const words = `${maker ?? ''} ${model ?? ''}`.toLowerCase()
  return signs.find(([pattern]) => pattern.test(words))?.[1] ?? 'generic'
}

/**
 * By the address that a maker's routers have unless somebody changed it, and that no other maker uses; `generic` where it
 * tells nothing. For a router that says nothing of itself.
 */
export function guessedMaker(gateway: string): Maker {
  return addressSigns.get(gateway) ?? 'generic'
}

const addressSigns: ReadonlyMap<string, Maker> = new Map([
  ['192.168.50.1', 'asus'],
  ['192.168.178.1', 'fritzbox'],
  ['172.30.1.254', 'kt'],
])

const signs: readonly (readonly [RegExp, Maker])[] = [
  [/asus/, 'asus'],
  [/openwrt|lede/, 'openwrt'],
  [/pfsense|netgate|opnsense/, 'pfsense'],
  [/ubiquiti|unifi|ubnt|dream machine/, 'unifi'],
  [/tp-?link|archer|deco/, 'tp-link'],
  [/iptime|efm ?networks/, 'iptime'],
  [/fritz|avm/, 'fritzbox'],
  [/\bkt\b|olleh|homehub|giga ?wifi/, 'kt'],
]

/** @param router its LAN address. @param page its own admin address, where it told one. */
export function routerSteps(
  maker: Maker,
  wish: RowWish,
  router: string,
  page: string | null = null,
): RouterSteps {
  const { path, urlPath, fields, both, range, notes, source, shifts = false } = pages[maker]
  const base = page !== null && /^https?:\/\//.test(page) ? page : `http://${router}/`
  const origin = /^https?:\/\/[^/]+/.exec(base)?.[0] ?? base
  const protocols =
    wish.protocols.length > 1 && both ? [both] : wish.protocols.map((name) => name.toUpperCase())
  const ranges = shifts || samePorts(wish) ? [wish] : onePortEach(wish)
  const rows = ranges
    .slice(0, mostRows)
    .flatMap((one) => protocols.map((protocol) => fields({ wish: one, protocol, range })))
  return {
    maker,
    url: urlPath === '' ? base : origin + urlPath,
    path,
    rows: source ? rows.map((row) => [...row, ...source(wish.allow)]) : rows,
    notes: [
      ...(ranges.length > 1 ? [rowForEach(wish, ranges.length)] : []),
      ...notes,
      ...allowNote(wish.allow, source !== undefined),
    ],
  }
}

const mostRows = 8

/** These pages send a range on to the same ports: one that changes on the way is typed port by port. */
function onePortEach(wish: RowWish): readonly RowWish[] {
  const { externalPorts, internalPorts } = wish
  const count = internalPorts.last - internalPorts.first + 1
  const only = (port: number): PortRange => ({ first: port, last: port })
  return Array.from({ length: count }, (_, at) => ({
    ...wish,
    externalPorts: only(externalPorts.first + at),
    internalPorts: only(internalPorts.first + at),
  }))
}

function rowForEach({ internalPorts }: RowWish, count: number): Text {
  const last = internalPorts.last
  const rest = count > mostRows ? say`, and so on up to ${last}` : verbatim('')
  return say`a range whose ports change on the way needs a row a port here${rest}; with the same port outside, one row is enough`
}

interface Page {
  /** After the router's address; empty is its front page. */
  readonly urlPath: string
  readonly path: Text
  /** The word for TCP and UDP in one row; without it each has a row of its own. */
  readonly both?: string
  readonly range: (ports: PortRange) => string
  readonly fields: (row: {
    wish: RowWish
    protocol: string
    range: (ports: PortRange) => string
  }) => readonly StepField[]
  /** Sends a range on to another one of the same length. @default false */
  readonly shifts?: boolean
  /** The field for where clients may come from. */
  readonly source?: (allow: readonly Cidr[]) => readonly StepField[]
  readonly notes: readonly Text[]
}

const field = (label: Text, value: string): StepField => ({ label, value })
/** One source is what these pages take. */
const oneSource =
  (label: Text) =>
  (allow: readonly Cidr[]): readonly StepField[] => {
    const only = allow.filter(({ family }) => family === 4)
    return only.length === 1 ? [field(label, formatCidr(only[0] as Cidr))] : []
  }
const dashed = formatPortRange
const coloned = (ports: PortRange): string => dashed(ports).replace('-', ':')

const pages: Readonly<Record<Maker, Page>> = {
  asus: {
    urlPath: '/Advanced_VirtualServer_Content.asp',
    path: say('WAN → Virtual Server / Port Forwarding → Enable Port Forwarding: ON → Add profile'),
    both: 'BOTH',
    range: coloned,
    fields: ({ wish, protocol, range }) => [
      field(say('Service Name'), wish.name.slice(0, 30)),
      field(say('Protocol'), protocol),
      field(say('External Port'), range(wish.externalPorts)),
      field(say('Internal Port'), keepsRange(wish) ? '' : range(wish.internalPorts)),
      field(say('Internal IP Address'), wish.internalAddress),
    ],
    source: oneSource(say('Source IP')),
    notes: [say('press OK, then Apply')],
  },
  openwrt: {
    urlPath: '/cgi-bin/luci/admin/network/firewall/forwards',
    // LuCI's own Korean leaves many words in English.
    path: say('Network → Firewall → Port Forwards → Add'),
    both: 'TCP UDP',
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field(say('Name'), wish.name),
      field(say('Protocol'), protocol),
      field(verbatim('Source zone'), 'wan'),
      field(sayOf('router-steps')('External port'), range(wish.externalPorts)),
      field(verbatim('Destination zone'), 'lan'),
      field(say('Internal IP address'), wish.internalAddress),
      field(sayOf('router-steps')('Internal port'), range(wish.internalPorts)),
    ],
    source: oneSource(say('Source IP address (Advanced Settings)')),
    notes: [say('press Save, then Save & Apply')],
  },
  pfsense: {
    urlPath: '/firewall_nat_edit.php',
    path: verbatim('Firewall → NAT → Port Forward → Add'),
    both: 'TCP/UDP',
    shifts: true,
    range: (ports) => `${ports.first} – ${ports.last}`,
    fields: ({ wish, protocol, range }) => [
      field(verbatim('Interface'), 'WAN'),
      field(verbatim('Address Family'), 'IPv4'),
      field(verbatim('Protocol'), protocol),
      field(verbatim('Destination'), 'WAN address'),
      field(verbatim('Destination port range'), range(wish.externalPorts)),
      field(verbatim('Redirect target IP'), wish.internalAddress),
      field(verbatim('Redirect target port'), String(wish.internalPorts.first)),
      field(verbatim('Description'), `naru:${wish.name}`),
      field(verbatim('Filter rule association'), 'Add associated filter rule'),
    ],
    source: oneSource(verbatim('Source (Display Advanced) – Network')),
    notes: [say('press Save, then Apply Changes')],
  },
  unifi: {
    urlPath: '',
    path: say(
      'Network → Settings → Policy Engine (older: Routing, or Firewall & Security) → Port Forwarding → Create Entry',
    ),
    both: 'Both',
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field(say('Name'), wish.name),
      field(say('WAN Interface'), 'WAN'),
      field(say('WAN Port'), range(wish.externalPorts)),
      field(say('Forward IP Address'), wish.internalAddress),
      field(say('Forward Port'), range(wish.internalPorts)),
      field(say('Protocol'), protocol),
    ],
    source: oneSource(say('From – Limited')),
    notes: [say('press Add (or Apply Changes)')],
  },
  'tp-link': {
    urlPath: '',
    path: say('Advanced → NAT Forwarding → Port Forwarding (older: Virtual Servers) → Add'),
    both: 'All',
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field(say('Service Name'), wish.name),
      field(say('Device IP Address'), wish.internalAddress),
      field(say('External Port'), range(wish.externalPorts)),
      field(say('Internal Port'), range(wish.internalPorts)),
      field(say('Protocol'), protocol),
      field(say('Enable This Entry'), '✓'),
    ],
    notes: [say('press Save')],
  },
  iptime: {
    urlPath: '',
    path: say('Advanced Setup → NAT/Routing → Port Forward → Add new rule'),
    range: (ports) => `${ports.first} ~ ${ports.last}`,
    fields: ({ wish, protocol, range }) => [
      field(say('Rule Name'), wish.name),
      field(sayOf('router-steps')('Internal IP Address'), wish.internalAddress),
      field(say('Protocol'), protocol),
      field(say('External Port'), range(wish.externalPorts)),
      field(say('Internal Port'), range(wish.internalPorts)),
    ],
    notes: [say('press Apply (top right), then Save')],
  },
  kt: {
    urlPath: '',
    path: say('Device settings → Traffic management → Port forwarding'),
    range: (ports) => `${ports.first} ~ ${ports.last}`,
    fields: ({ wish, protocol, range }) => [
      field(say('Source IP address'), ''),
      field(say('Source port'), ''),
      field(say('External port'), range(wish.externalPorts)),
      field(say('Internal IP address'), wish.internalAddress),
      field(say('Internal port'), range(wish.internalPorts)),
      field(say('Protocol'), protocol),
      field(say('Description'), wish.name),
    ],
    notes: [say('leave the source fields empty; press Add')],
  },
  fritzbox: {
    urlPath: '',
    path: verbatim(
      'Internet → Permit Access → Port Sharing → Add Device for Sharing → New Sharing → Port sharing',
    ),
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field(verbatim('Device'), wish.internalAddress),
      field(verbatim('Application'), 'Other application'),
      field(verbatim('Name'), wish.name),
      field(verbatim('Protocol'), protocol),
      field(verbatim('Port to device'), range(wish.internalPorts)),
      field(verbatim('Port requested externally (IPv4 only)'), range(wish.externalPorts)),
      field(verbatim('Enable sharing'), '✓'),
    ],
    notes: [
      say(
        'press OK, then Apply; ticking "Permit independent port sharing for this device" there lets Naru do it by itself',
      ),
    ],
  },
  generic: {
    urlPath: '',
    path: say(
      'look for "Port Forwarding", "Virtual Server" or "NAT" (often under Advanced or WAN) and add a row',
    ),
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field(say('Service name'), wish.name),
      field(say('External port'), range(wish.externalPorts)),
      field(say('Internal port'), range(wish.internalPorts)),
      field(say('Internal (private) IP address'), wish.internalAddress),
      field(say('Protocol'), protocol),
    ],
    notes: [say('save or apply')],
  },
}

/** An ASUS row without an internal port keeps the external one; a range must not have one. */
function keepsRange(wish: RowWish): boolean {
  return samePorts(wish) && wish.externalPorts.first !== wish.externalPorts.last
}

function samePorts({ externalPorts, internalPorts }: RowWish): boolean {
  return externalPorts.first === internalPorts.first && externalPorts.last === internalPorts.last
}

function allowNote(allow: readonly Cidr[], hasField: boolean): readonly Text[] {
  if (allow.length === 0 || (hasField && allow.length === 1)) return []
  const list = allow.map(formatCidr).join(', ')
  return [say`the allow-list (${list}) is enforced on this machine; leave the router's source field empty`]
}

/** Behind two routers one row is not enough. */
export function onUpperToo({ externalPorts, protocols }: Pick<RowWish, 'externalPorts' | 'protocols'>): Text {
  const port = `${formatPortRange(externalPorts)} (${protocols.map((name) => name.toUpperCase()).join(', ')})`
  return say`and on the upper router, too: external port ${port} to the WAN address of this router, same port; it is open once both rows are there`
}

/** For a screen without tables: one line a field, and where there are several rows one that counts them. */
export function stepLines(steps: RouterSteps): readonly Text[] {
  const count = steps.rows.length
  const rows = steps.rows.flatMap((row, at) => [
    ...(count > 1 ? [say`row ${at + 1} of ${count}`] : []),
    ...row.filter(({ value }) => value !== '').map(({ label, value }) => say`  ${label}: ${value}`),
  ])
  return [verbatim(steps.url), steps.path, ...rows, ...steps.notes]
}
