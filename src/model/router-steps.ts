/**
 * The rows to type where a router does not open ports by itself: which page, which fields, in the words of that
 * maker's own pages. Pure: from the maker and the rule to what stands on the screen.
 */
import { formatCidr, type Cidr } from '../base/address.ts'
import { formatPortRange, type PortRange, type Protocol } from '../base/port.ts'
import { say, verbatim, type Text } from '../base/text.ts'

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
  const rest =
    count > mostRows ? say(`, and so on up to ${last}`, ` (${last}번까지 같은 방식으로)`) : say('', '')
  return say(
    `a range whose ports change on the way needs a row a port here${rest.en}; with the same port outside, one row is enough`,
    `외부와 내부 포트 번호가 다른 범위는 포트마다 항목이 필요합니다${rest.ko}. 외부 포트를 같은 번호로 두면 한 항목으로 됩니다`,
  )
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

const field = (en: string, ko: string, value: string): StepField => ({ label: say(en, ko), value })
/** One source is what these pages take. */
const oneSource =
  (en: string, ko: string) =>
  (allow: readonly Cidr[]): readonly StepField[] => {
    const only = allow.filter(({ family }) => family === 4)
    return only.length === 1 ? [field(en, ko, formatCidr(only[0] as Cidr))] : []
  }
const dashed = formatPortRange
const coloned = (ports: PortRange): string => dashed(ports).replace('-', ':')

const pages: Readonly<Record<Maker, Page>> = {
  asus: {
    urlPath: '/Advanced_VirtualServer_Content.asp',
    path: say(
      'WAN → Virtual Server / Port Forwarding → Enable Port Forwarding: ON → Add profile',
      'WAN → 가상 서버 / 포트 포워딩 → 포트 포워딩 활성화: ON → 프로필 추가',
    ),
    both: 'BOTH',
    range: coloned,
    fields: ({ wish, protocol, range }) => [
      field('Service Name', '서비스 이름', wish.name.slice(0, 30)),
      field('Protocol', '프로토콜', protocol),
      field('External Port', '외부 포트', range(wish.externalPorts)),
      field('Internal Port', '내부 포트', keepsRange(wish) ? '' : range(wish.internalPorts)),
      field('Internal IP Address', '내부 IP 주소', wish.internalAddress),
    ],
    source: oneSource('Source IP', '소스 IP'),
    notes: [say('press OK, then Apply', '확인을 누른 다음 적용을 누르세요')],
  },
  openwrt: {
    urlPath: '/cgi-bin/luci/admin/network/firewall/forwards',
    // LuCI's own Korean leaves many words in English.
    path: say('Network → Firewall → Port Forwards → Add', '네트워크 → 방화벽 → Port Forward → 추가'),
    both: 'TCP UDP',
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field('Name', '이름', wish.name),
      field('Protocol', '프로토콜', protocol),
      field('Source zone', 'Source zone', 'wan'),
      field('External port', '외부 port', range(wish.externalPorts)),
      field('Destination zone', 'Destination zone', 'lan'),
      field('Internal IP address', '내부 IP 주소', wish.internalAddress),
      field('Internal port', '내부 port', range(wish.internalPorts)),
    ],
    source: oneSource('Source IP address (Advanced Settings)', 'Source IP 주소 (고급 설정)'),
    notes: [say('press Save, then Save & Apply', '저장을 누른 다음 저장 & 적용을 누르세요')],
  },
  pfsense: {
    urlPath: '/firewall_nat_edit.php',
    path: say('Firewall → NAT → Port Forward → Add', 'Firewall → NAT → Port Forward → Add'),
    both: 'TCP/UDP',
    shifts: true,
    range: (ports) => `${ports.first} – ${ports.last}`,
    fields: ({ wish, protocol, range }) => [
      field('Interface', 'Interface', 'WAN'),
      field('Address Family', 'Address Family', 'IPv4'),
      field('Protocol', 'Protocol', protocol),
      field('Destination', 'Destination', 'WAN address'),
      field('Destination port range', 'Destination port range', range(wish.externalPorts)),
      field('Redirect target IP', 'Redirect target IP', wish.internalAddress),
      field('Redirect target port', 'Redirect target port', String(wish.internalPorts.first)),
      field('Description', 'Description', `naru:${wish.name}`),
      field('Filter rule association', 'Filter rule association', 'Add associated filter rule'),
    ],
    source: oneSource('Source (Display Advanced) – Network', 'Source (Display Advanced) – Network'),
    notes: [say('press Save, then Apply Changes', 'Save를 누른 다음 Apply Changes를 누르세요')],
  },
  unifi: {
    urlPath: '',
    path: say(
      'Network → Settings → Policy Engine (older: Routing, or Firewall & Security) → Port Forwarding → Create Entry',
      'Network → 설정 → 정책 엔진(이전 버전: 라우팅 또는 방화벽 및 보안) → 포트 포워딩 → 새로 만들기',
    ),
    both: 'Both',
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field('Name', '이름', wish.name),
      field('WAN Interface', 'WAN 인터페이스', 'WAN'),
      field('WAN Port', 'WAN 포트', range(wish.externalPorts)),
      field('Forward IP Address', '전달 IP 주소', wish.internalAddress),
      field('Forward Port', '전달 포트', range(wish.internalPorts)),
      field('Protocol', '프로토콜', protocol),
    ],
    source: oneSource('From – Limited', 'From – 제한'),
    notes: [say('press Add (or Apply Changes)', '추가(또는 변경 사항 적용)를 누르세요')],
  },
  'tp-link': {
    urlPath: '',
    path: say(
      'Advanced → NAT Forwarding → Port Forwarding (older: Virtual Servers) → Add',
      '고급 → NAT 포워딩 → 포트 포워딩(이전 버전: 가상 서버) → 추가',
    ),
    both: 'All',
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field('Service Name', '서비스 이름', wish.name),
      field('Device IP Address', '장치 IP 주소', wish.internalAddress),
      field('External Port', '외부 포트', range(wish.externalPorts)),
      field('Internal Port', '내부 포트', range(wish.internalPorts)),
      field('Protocol', '프로토콜', protocol),
      field('Enable This Entry', '이 항목 사용', '✓'),
    ],
    notes: [say('press Save', '저장을 누르세요')],
  },
  iptime: {
    urlPath: '',
    path: say(
      'Advanced Setup → NAT/Routing → Port Forward → Add new rule',
      '관리도구 → 고급 설정 → NAT/라우터 관리 → 포트포워드 설정 → 새 규칙 추가',
    ),
    range: (ports) => `${ports.first} ~ ${ports.last}`,
    fields: ({ wish, protocol, range }) => [
      field('Rule Name', '규칙이름', wish.name),
      field('Internal IP Address', '내부 IP주소', wish.internalAddress),
      field('Protocol', '프로토콜', protocol),
      field('External Port', '외부 포트', range(wish.externalPorts)),
      field('Internal Port', '내부 포트', range(wish.internalPorts)),
    ],
    notes: [say('press Apply (top right), then Save', '적용을 누른 다음 오른쪽 위의 저장을 누르세요')],
  },
  kt: {
    urlPath: '',
    path: say(
      'Device settings → Traffic management → Port forwarding',
      '장치설정 → 트래픽 관리 → 포트 포워딩 설정',
    ),
    range: (ports) => `${ports.first} ~ ${ports.last}`,
    fields: ({ wish, protocol, range }) => [
      field('Source IP address', '소스 IP 주소', ''),
      field('Source port', '소스 포트', ''),
      field('External port', '외부 포트', range(wish.externalPorts)),
      field('Internal IP address', '내부 IP 주소', wish.internalAddress),
      field('Internal port', '내부 포트', range(wish.internalPorts)),
      field('Protocol', '프로토콜', protocol),
      field('Description', '설명', wish.name),
    ],
    notes: [say('leave the source fields empty; press Add', '소스 칸은 비워 두고 추가를 누르세요')],
  },
  fritzbox: {
    urlPath: '',
    path: say(
      'Internet → Permit Access → Port Sharing → Add Device for Sharing → New Sharing → Port sharing',
      'Internet → Permit Access → Port Sharing → Add Device for Sharing → New Sharing → Port sharing',
    ),
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field('Device', 'Device', wish.internalAddress),
      field('Application', 'Application', 'Other application'),
      field('Name', 'Name', wish.name),
      field('Protocol', 'Protocol', protocol),
      field('Port to device', 'Port to device', range(wish.internalPorts)),
      field(
        'Port requested externally (IPv4 only)',
        'Port requested externally (IPv4 only)',
        range(wish.externalPorts),
      ),
      field('Enable sharing', 'Enable sharing', '✓'),
    ],
    notes: [
      say(
        'press OK, then Apply; ticking "Permit independent port sharing for this device" there lets Naru do it by itself',
        'OK를 누른 다음 Apply를 누르세요. 그 화면에서 "Permit independent port sharing for this device"를 켜면 Naru가 자동으로 할 수 있습니다',
      ),
    ],
  },
  generic: {
    urlPath: '',
    path: say(
      'look for "Port Forwarding", "Virtual Server" or "NAT" (often under Advanced or WAN) and add a row',
      '"포트 포워딩", "가상 서버" 또는 "NAT" 메뉴(보통 고급 설정이나 WAN 아래)를 찾아 항목을 추가하세요',
    ),
    range: dashed,
    fields: ({ wish, protocol, range }) => [
      field('Service name', '서비스 이름', wish.name),
      field('External port', '외부 포트', range(wish.externalPorts)),
      field('Internal port', '내부 포트', range(wish.internalPorts)),
      field('Internal (private) IP address', '내부(사설) IP 주소', wish.internalAddress),
      field('Protocol', '프로토콜', protocol),
    ],
    notes: [say('save or apply', '저장 또는 적용을 누르세요')],
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
  return [
    say(
      `the allow-list (${list}) is enforced on this machine; leave the router's source field empty`,
      `허용 목록(${list})은 이 컴퓨터에서 적용됩니다. 공유기의 출발지 칸은 비워 두세요`,
    ),
  ]
}

/** Behind two routers one row is not enough. */
export function onUpperToo({ externalPorts, protocols }: Pick<RowWish, 'externalPorts' | 'protocols'>): Text {
  const port = `${formatPortRange(externalPorts)} (${protocols.map((name) => name.toUpperCase()).join(', ')})`
  return say(
    `and on the upper router, too: external port ${port} to the WAN address of this router, same port; it is open once both rows are there`,
    `위쪽 공유기에도 입력하세요: 외부 포트 ${port}{을/를} 이 공유기의 WAN 주소의 같은 포트로 보냅니다. 두 항목이 모두 있어야 열립니다`,
  )
}

/** For a screen without tables: one line a field, and where there are several rows one that counts them. */
export function stepLines(steps: RouterSteps): readonly Text[] {
  const count = steps.rows.length
  const rows = steps.rows.flatMap((row, at) => [
    ...(count > 1 ? [say(`row ${at + 1} of ${count}`, `항목 ${at + 1}/${count}`)] : []),
    ...row
      .filter(({ value }) => value !== '')
      .map(({ label, value }) => ({ en: `  ${label.en}: ${value}`, ko: `  ${label.ko}: ${value}` })),
  ])
  return [verbatim(steps.url), steps.path, ...rows, ...steps.notes]
}
