/**
 * `ipconfig /all` in any language: what is read are shapes (an adapter's heading stands at the margin, a field is
 * `Label . . . : value`), addresses and the few labels that English and Korean Windows write. Wine's own too.
 */
import { canonicalAddress } from '../../base/address.ts'
import type { Interface } from '../contract.ts'

export interface Adapter {
  readonly name: string
  /** The driver's description: `VMware Virtual Ethernet Adapter for VMnet8`. */
  readonly description: string
  readonly mac: string | null
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
  readonly nameServers: readonly string[]
  readonly connected: boolean
}

type Building = {
  -readonly [K in keyof Adapter]: Adapter[K] extends readonly string[] ? string[] : Adapter[K]
}

type Field = 'description' | 'address' | 'gateway' | 'dns' | 'state' | 'other'

const labels: readonly [RegExp, Field][] = [
  [/^(description|설명)/i, 'description'],
  [/(default gateway|기본 게이트웨이)/i, 'gateway'],
  [/(dns server|dns 서버)/i, 'dns'],
  [/(media state|미디어 상태)/i, 'state'],
  [/(subnet|서브넷|dhcp server|dhcp 서버|lease|임대|wins|duid|iaid|suffix|접미사)/i, 'other'],
  [/(ipv4|ipv6|ip address|ip 주소|autoconfiguration|자동 구성 ipv4)/i, 'address'],
]

export function parseIpconfig(text: string): Adapter[] {
  const adapters: Building[] = []
  let field: Field = 'other'
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd()
    if (line === '') continue
    if (/^\S/.test(line)) {
      const name = adapterName(line)
      if (name !== null) adapters.push(emptyAdapter(name))
      continue
    }
    const adapter = adapters.at(-1)
    if (!adapter) continue
    // A label is padded with ` . .` up to its colon; a further value stands alone in the column below.
    const colon = line.search(/:(?: |$)/)
    const isField = colon !== -1 && /\.\s*\.|\.\s*:/.test(line)
    if (isField) field = fieldOf(line.slice(0, colon).trim())
    take(adapter, field, (isField ? line.slice(colon + 1) : line).trim())
  }
  return adapters
}

/** `Ethernet adapter Ethernet 2:`, `이더넷 어댑터 이더넷:`, wine's `Ethernet adapter eth0`. */
function adapterName(heading: string): string | null {
  const word = /(?:\badapter|어댑터)\s+(?=\S)/i.exec(heading)
  if (!word) return null
  const name = heading.slice(word.index + word[0].length)
  return name.endsWith(':') ? name.slice(0, -1) : name
}

function emptyAdapter(name: string): Building {
  return { name, description: '', mac: null, addresses: [], gateways: [], nameServers: [], connected: true }
}

function fieldOf(label: string): Field {
  return labels.find(([pattern]) => pattern.test(label))?.[1] ?? 'other'
}

function take(adapter: Building, field: Field, value: string): void {
  if (field === 'description') adapter.description ||= value
  if (field === 'state') adapter.connected = false
  const mac = /^[0-9a-f]{2}(-[0-9a-f]{2}){5}$/i.exec(value)?.[0]
  if (mac) adapter.mac = mac.toLowerCase().replaceAll('-', ':')
  // `192.168.1.10(Preferred)`, `fe80::1%4(기본 설정)`
  const address = bareAddress(value)
  if (address === null) return
  if (field === 'address') adapter.addresses.push(address)
  if (field === 'gateway') adapter.gateways.push(address)
  if (field === 'dns') adapter.nameServers.push(address)
}

function bareAddress(value: string): string | null {
  const written = (value.split('(', 1)[0] as string).trim()
  return canonicalAddress(written.split('%')[0] as string) === null ? null : written
}

/** What an adapter is to us, by the driver's description and its name. */
export function kindOfAdapter({
  name,
  description,
}: {
  name: string
  description: string
}): Interface['kind'] {
  const words = `${description} ${name}`
  if (/loopback|루프백/i.test(words) || name === 'lo') return 'loopback'
  if (/vmware|virtualbox|vEthernet|hyper-v|parallels/i.test(words)) return 'vm'
  if (/docker/i.test(words)) return 'container'
  if (
    /vpn|\btap-|tap adapter|wintun|wireguard|openvpn|tailscale|zerotier|tunnel|터널|fortinet|cisco anyconnect|pangp|ppp/i.test(
      words,
    )
  )
    return 'vpn'
  if (/wi-?fi|wireless|802\.11|무선/i.test(words)) return 'wifi'
  return /bluetooth/i.test(words) ? 'other' : 'ethernet'
}
