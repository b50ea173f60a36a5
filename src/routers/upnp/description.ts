/**
 * What a router's description says it is, and which of its services open ports, best first. Every URL in it is read
 * as a path on the host that answered: nothing here can make us ask anybody else.
 */
import { child, children, parseXml, textOf, type Xml } from './xml.ts'

export interface Description {
  readonly udn: string
  readonly friendlyName: string | null
  readonly maker: string | null
  readonly model: string | null
  /** As the router says; shown, never fetched. */
  readonly presentationUrl: string | null
  /** Services that map ports, best first. */
  readonly connections: readonly Service[]
  /** Opens IPv6 pinholes. */
  readonly firewall: Service | null
}

export interface Service {
  /** `urn:schemas-upnp-org:service:WANIPConnection:2`. */
  readonly type: string
  readonly version: 1 | 2
  readonly controlPort: number
  readonly controlPath: string
}

const mostDevices = 64

/** @param location where it was fetched. */
export function parseDescription(text: string, location: URL): Description | undefined {
  const root = child(parseXml(text), 'root')
  const device = child(root, 'device')
  if (device === undefined) return undefined
  const base = baseOf(textOf(root, 'URLBase'), location)
  const services = devicesOf(device)
    .flatMap((each) => children(child(each, 'serviceList'), 'service'))
    .slice(0, 128)
    .flatMap((service) => serviceOf(service, base))
  return {
    udn: textOf(device, 'UDN') ?? '',
    friendlyName: textOf(device, 'friendlyName'),
    maker: textOf(device, 'manufacturer'),
    model: [textOf(device, 'modelName'), textOf(device, 'modelNumber')].filter(Boolean).join(' ') || null,
    presentationUrl: textOf(device, 'presentationURL'),
    connections: services
      .filter(({ type }) => rankOf(type) < noRank)
      .sort((a, b) => rankOf(a.type) - rankOf(b.type)),
    firewall: services.find(({ type }) => /:WANIPv6FirewallControl:\d+$/.test(type)) ?? null,
  }
}

/** WANIP:2, WANIP:1, WANPPP:1, then the names of before the standard. */
const ranking = [
  /^urn:schemas-upnp-org:service:WANIPConnection:([2-9]|\d{2})$/,
  /^urn:schemas-upnp-org:service:WANIPConnection:1$/,
  /^urn:schemas-upnp-org:service:WANPPPConnection:\d+$/,
  /^urn:dslforum-org:service:WAN(IP|PPP)Connection:1$/,
]
const noRank = ranking.length

function rankOf(type: string): number {
  const rank = ranking.findIndex((pattern) => pattern.test(type))
  return rank < 0 ? noRank : rank
}

/** The device and those inside it, a few levels and a few dozens. */
function devicesOf(root: Xml): readonly Xml[] {
  const found: Xml[] = [root]
  for (let at = 0; at < found.length && found.length < mostDevices; at++)
    found.push(...children(child(found[at], 'deviceList'), 'device').slice(0, mostDevices))
  return found.slice(0, mostDevices)
}

function serviceOf(service: Xml, base: URL): Service[] {
  const type = textOf(service, 'serviceType') ?? ''
  const control = textOf(service, 'controlURL') ?? ''
  if (control === '' || !URL.canParse(control, base.href)) return []
  const url = new URL(control, base)
  if (url.protocol !== 'http:') return []
  const version = rankOf(type) === 0 ? 2 : 1
  return [{ type, version, controlPort: Number(url.port || 80), controlPath: url.pathname + url.search }]
}

function baseOf(urlBase: string | null, location: URL): URL {
  return urlBase && URL.canParse(urlBase) && urlBase.startsWith('http://') ? new URL(urlBase) : location
}
