/** What virsh prints, turned into data (LC_ALL=C). Sources: virsh(1); libvirt's domain XML, "Userspace connection using passt". */
import type { Protocol } from '../../base/port.ts'
import type { Reported } from '../shared/cards.ts'
import type { Forward } from '../shared/forwards.ts'

export interface Domain {
  readonly name: string
  readonly state: 'running' | 'stopped' | 'paused' | 'unknown'
}

export interface DomainInterface {
  /** `network`, `bridge`, `user`, `direct` … */
  readonly type: string
  readonly passt: boolean
  /** Null where the definition tells none. */
  readonly mac: string | null
  /** libvirt's own name of the card, such as `net0`; null while the guest is off. */
  readonly alias: string | null
  /** passt's, as the definition has them. */
  readonly forwards: readonly Forward[]
}

/** virDomainState: 1 running, 2 blocked (runs), 3 paused, 4 shutting down, 5 shut off, 6 crashed, 7 suspended by the guest. */
const states: Readonly<Record<string, Domain['state']>> = {
  1: 'running',
  2: 'running',
  3: 'paused',
  4: 'running',
  5: 'stopped',
  6: 'stopped',
  7: 'paused',
}

/**
 *     Domain: 'web'
 *       state.state=1
 *       state.reason=1
 */
export function parseDomains(text: string): readonly Domain[] {
  return text
    .split(/^Domain: /m)
    .slice(1)
    .map((block) => ({
      name: /^'(.*)'\s*$/m.exec(block)?.[1] ?? '',
      state: states[/state\.state=(\d+)/.exec(block)?.[1] ?? ''] ?? 'unknown',
    }))
}

/**
 * ` vnet0      52:54:00:9a:1b:2c    ipv4         192.168.122.45/24`, and ` -          -                    ipv6 …` for
 * another of the same card; loopback and link-local are no way in.
 */
export function parseAddresses(text: string): readonly Reported[] {
  const reported: Reported[] = []
  let mac: string | null = null
  for (const line of text.split('\n')) {
    const [card, family, place = ''] = line.trim().split(/\s+/).slice(-3)
    const [, address] = /^([\da-f.:]+)\/\d+$/.exec(place) ?? []
    if (card === undefined || address === undefined || !/^ipv[46]$/.test(family ?? '')) continue
    if (card !== '-') mac = card
    if (!/^(?:127\.|::1$|fe80:|169\.254\.)/.test(address)) reported.push({ address, mac })
  }
  return reported
}

export function parseInterfaces(xml: string): readonly DomainInterface[] {
  return elementsIn(xml, 'interface').map(({ attributes, body }) => ({
    type: attributeIn(attributes, 'type') ?? '',
    passt: elementsIn(body, 'backend').some((one) => attributeIn(one.attributes, 'type') === 'passt'),
    mac: attributeIn(elementsIn(body, 'mac')[0]?.attributes ?? '', 'address'),
    alias: attributeIn(elementsIn(body, 'alias')[0]?.attributes ?? '', 'name'),
    forwards: parsePortForwards(body),
  }))
}

/** `<portForward proto='tcp' address='127.0.0.1'><range start='8080' end='8090' to='80'/></portForward>`. */
function parsePortForwards(xml: string): readonly Forward[] {
  return elementsIn(xml, 'portForward').flatMap(({ attributes, body }) => {
    const protocol = attributeIn(attributes, 'proto') === 'udp' ? 'udp' : 'tcp'
    const hostAddress = attributeIn(attributes, 'address')
    return elementsIn(body, 'range').flatMap(({ attributes: range }) => {
      const number = (key: string): number | null => {
        const value = attributeIn(range, key)
        return value !== null && /^\d{1,5}$/.test(value) ? Number(value) : null
      }
      const start = number('start')
      if (start === null || attributeIn(range, 'exclude') === 'yes') return []
      const [end, to] = [number('end') ?? start, number('to') ?? start]
      const count = Math.min(Math.max(end - start + 1, 0), 1000)
      return Array.from({ length: count }, (_, offset): Forward => ({
        protocol,
        hostAddress,
        hostPort: start + offset,
        guestPort: to + offset,
      }))
    })
  })
}

interface Element {
  readonly attributes: string
  /** Empty for one that closes itself. */
  readonly body: string
}

/** Those of one name; libvirt nests none of them in itself. One that is not closed ends the list. */
function elementsIn(xml: string, name: string): readonly Element[] {
  const elements: Element[] = []
  const opening = new RegExp(`<${name}(?=[\\s/>])([^<>]*)>`, 'g')
  for (let found = opening.exec(xml); found; found = opening.exec(xml)) {
    const attributes = found[1] ?? ''
    const closing = attributes.endsWith('/')
      ? opening.lastIndex
      : xml.indexOf(`</${name}>`, opening.lastIndex)
    if (closing < 0) break
    elements.push({ attributes, body: xml.slice(opening.lastIndex, closing) })
    opening.lastIndex = closing
  }
  return elements
}

function attributeIn(attributes: string, key: string): string | null {
  const [, , value = null] = new RegExp(`(?:^|\\s)${key}=(["'])([^"']*)\\1`).exec(attributes) ?? []
  return value
}

/** QEMU's `info usernet`: `  TCP[HOST_FORWARD]   8       127.0.0.1 18222       10.0.2.15    22     0     0`. */
export function parseUserNet(text: string): readonly Forward[] {
  const row = /^[ \t]+(TCP|UDP)\[HOST_FORWARD\][ \t]+\d+[ \t]+(\S+)[ \t]+(\d+)[ \t]+\S+[ \t]+(\d+)\s/gm
  return [...`${text} `.matchAll(row)].map(([, protocol = '', source = '', hostPort, guestPort]) => ({
    protocol: protocol.toLowerCase() as Protocol,
    hostAddress: source === '*' || source === '0.0.0.0' ? null : source,
    hostPort: Number(hostPort),
    guestPort: Number(guestPort),
  }))
}
