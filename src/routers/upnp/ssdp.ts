/**
 * SSDP on the wire (UPnP Device Architecture 2.0 §1.2–1.3): searches to bytes, answers and announcements from bytes.
 * What is not one is undefined; nothing here throws.
 */

export const ssdpPort = 1900
export const ssdpGroup = '239.255.255.250'
/** Of the link and of the site (UPnP Device Architecture 2.0 §A.3). */
export const ssdpGroups6 = ['ff02::c', 'ff05::c'] as const

/** Routers answer to what they like: some only to their service, some only to `ssdp:all`. */
export const searchTargets = [
  'urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  'urn:schemas-upnp-org:device:InternetGatewayDevice:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
  'ssdp:all',
] as const

/** All that some answer to. A house full of devices answers it too: only who is asked by unicast is asked for it. */
export const anyDevice = 'upnp:rootdevice'

export interface SsdpAnswer {
  /** Where the description is, as they say. */
  readonly location: URL
  readonly target: string
  readonly usn: string
  /** Counts the boots (§1.2.2); null where the router has none. */
  readonly bootId: number | null
}

export interface SsdpNotice {
  /** `ssdp:alive`, `ssdp:byebye`, `ssdp:update`. */
  readonly kind: string
  readonly target: string
}

/**
 * @param host whom it is sent to, as `239.255.255.250:1900`. @param delaySeconds the longest a device may wait (MX);
 * null, by unicast, is at once (§1.3.2): with it miniupnpd waits at random.
 */
export function searchRequest(target: string, host: string, delaySeconds: number | null): Uint8Array {
  const lines = [
    'M-SEARCH * HTTP/1.1',
    `HOST: ${host}`,
    'MAN: "ssdp:discover"',
    ...(delaySeconds === null ? [] : [`MX: ${delaySeconds}`]),
    `ST: ${target}`,
    'USER-AGENT: Naru/1 UPnP/1.1',
    '',
    '',
  ]
  return Buffer.from(lines.join('\r\n'), 'latin1')
}

export function parseSearchAnswer(bytes: Uint8Array): SsdpAnswer | undefined {
  const message = parseMessage(bytes)
  if (!message || !/^HTTP\/1\.[01] +200\b/i.test(message.start)) return undefined
  const location = parseLocation(message.headers.get('location'))
  if (!location) return undefined
  return {
    location,
    target: message.headers.get('st') ?? '',
    usn: message.headers.get('usn') ?? '',
    bootId: whole(message.headers.get('bootid.upnp.org')),
  }
}

export function parseNotice(bytes: Uint8Array): SsdpNotice | undefined {
  const message = parseMessage(bytes)
  if (!message || !/^NOTIFY +\* +HTTP\/1\.[01]$/i.test(message.start)) return undefined
  const kind = message.headers.get('nts')
  return kind ? { kind: kind.toLowerCase(), target: message.headers.get('nt') ?? '' } : undefined
}

/** True for what a gateway says it is; with `ssdp:all` everything in the house answers. */
export function isGatewayTarget(target: string): boolean {
  return /:(InternetGatewayDevice|WANIPConnection|WANPPPConnection):\d+$/i.test(target)
}

interface Message {
  readonly start: string
  /** Names in lower case; the first of a name counts. */
  readonly headers: ReadonlyMap<string, string>
}

function parseMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length < 12 || bytes.length > 4096) return undefined
  const [start = '', ...lines] = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('latin1')
    .split(/\r?\n/, 64)
  const headers = new Map<string, string>()
  for (const line of lines) {
    if (line === '') break
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim().toLowerCase()
    if (colon > 0 && !headers.has(name))
      headers.set(
        name,
        line
          .slice(colon + 1)
          .trim()
          .slice(0, 512),
      )
  }
  return { start: start.trim(), headers }
}

function parseLocation(text: string | undefined): URL | null {
  if (!text || !/^http:\/\//i.test(text) || !URL.canParse(text)) return null
  return new URL(text)
}

function whole(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : null
}
