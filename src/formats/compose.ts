/**
 * Published ports of a Compose file: each becomes a rule that dials the container by name, so that it follows the
 * container's address. https://docs.docker.com/reference/compose-file/services/#ports
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  visit,
  YAMLSeq,
  type Alias,
  type Document,
  type Node,
  type Pair,
} from 'yaml'
import type { Protocol } from '../base/port.ts'
import { yamlDocument, yamlProblem } from '../base/yaml.ts'
import { say, type Text } from '../base/text.ts'
import type { SourcePlace } from '../model/import-export.ts'
import type { ReadableFormat } from './contract.ts'
import { carriesNothing } from './shared/capabilities.ts'
import { listenText, ruleName, type PartLoss, type ImportContext } from './shared/import-context.ts'

export const compose: ReadableFormat = {
  id: 'compose',
  title: say('Docker Compose, ports of compose.yaml'),
  carries: { ...carriesNothing, udp: true, range: true, guestTarget: true },
  looksRight: (text) =>
    /(?:^|[{,])[ \t]{0,40}["']?services["']?[ \t]{0,40}:/m.test(text) &&
    /(?:^|[{,])[ \t]{0,400}["']?(?:ports|image|build|include)["']?[ \t]{0,40}:/m.test(text),
  read,
}

/** An alias may share a few services; a bomb repeats itself. */
const mostAliases = 100

/** Merges within merges; a map that merges itself has no end. */
const mostMerges = 16

interface Port {
  readonly address: string | null
  /** `8080` or `8000-8100`. */
  readonly published: string
  readonly target: string
  readonly protocol: Protocol
}

/** Compose files are small, and YAML is slow to read. */
const mostSigns = 1024 * 1024

function read(text: string, reading: ImportContext): void {
  if (text.length > mostSigns)
    return reading.wrong({ line: 1, column: 1 }, say`longer than ${mostSigns} signs`)
  const lines = new LineCounter()
  // An error, not a warning, is what tells of a second document.
  const document = yamlDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
    merge: true,
    tags: ['!reset', '!override'],
    mostTokens: 100_000,
  })
  const placeOf = (offset: number): SourcePlace => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const errors = document.errors.filter(({ code }) => code !== 'MULTIPLE_DOCS')
  for (const error of errors) reading.wrong(placeOf(error.pos[0]), yamlProblem(error))
  if (errors.length > 0) return
  const more = document.errors.find(({ code }) => code === 'MULTIPLE_DOCS')
  if (more) reading.lose(placeOf(more.pos[0]), '---', say('only the first document of the file is read'))
  try {
    document.toJS({ maxAliasCount: mostAliases })
  } catch {
    return reading.wrong({ line: 1, column: 1 }, say('aliases are expanded too often'))
  }
  new Services(document, placeOf, reading).read()
}

/** A value and where it is written. */
interface Entry {
  readonly key: Node | null
  readonly value: Node | null
}

/** @property unknown the key `extends` of what is not in this file */
interface Publisher {
  readonly service: string
  readonly guest: string
  readonly unknown: Node | null
}

/** Nodes as YAML means them: aliases are what they name, and `<<` brings in what a map does not say itself. */
class Services {
  readonly #document: Document.Parsed
  readonly #placeOf: (offset: number) => SourcePlace
  readonly #reading: ImportContext
  readonly #networks = new Map<string, Network>()
  /** What each alias names: the last anchor of that name before it. */
  readonly #named = new Map<Alias, Node>()

  constructor(document: Document.Parsed, placeOf: (offset: number) => SourcePlace, reading: ImportContext) {
    this.#document = document
    this.#placeOf = placeOf
    this.#reading = reading
    const anchors = new Map<string, Node>()
    visit(document, {
      Node: (_, node) => {
        if (isAlias(node)) {
          const named = anchors.get(node.source)
          if (named) this.#named.set(node, named)
        } else if (node.anchor !== undefined) anchors.set(node.anchor, node)
      },
    })
  }

  read(): void {
    const top = this.#entriesOf(this.#document.contents)
    const included = top?.get('include')
    if (included) this.#reading.lose(this.#at(included.key), 'include', notFollowed)
    for (const [name, { value }] of this.#entriesOf(top?.get('networks')?.value ?? null) ?? [])
      this.#networks.set(name, networkOf(this.#plain(value)))
    const services = this.#entriesOf(top?.get('services')?.value ?? null)
    if (!services) return this.#reading.wrong({ line: 1, column: 1 }, say('there are no services'))
    for (const [name, { key, value }] of services) {
      const service = this.#entriesOf(value)
      if (service) this.#readService(name, key, this.#extended(service, services))
      else if (this.#plain(value) !== null) this.#reading.wrong(this.#at(key), say`${name} is no service`)
    }
  }

  #readService(service: string, key: Node | null, entries: ReadonlyMap<string, Entry>): void {
    const reading = this.#reading
    const plain = (name: string): unknown => this.#plain(entries.get(name)?.value ?? null)
    const lose = (name: string, why: Text): void =>
      reading.lose(this.#at(entries.get(name)?.key ?? key), `${service}: ${name}`, why)
    if (entries.has('profiles')) lose('profiles', say('Compose starts it only with one of them'))
    const mode = plain('network_mode')
    if (mode === 'host')
      return lose('network_mode', say('its ports are this machine’s own; nothing is forwarded'))
    const ports = this.#resolved(entries.get('ports')?.value ?? null)
    if (ports === null || plain('ports') === null) return
    if (!isSeq(ports)) return reading.wrong(this.#at(ports), say('ports is a list'))
    const container = plain('container_name')
    const guest = typeof container === 'string' ? container : service
    const published = this.#publishedBy(mode, plain('networks'))
    // Where what it extends is not here, whether it publishes at all is not known.
    const unknown = entries.get('extends')?.key ?? null
    for (const item of ports.items) this.#readPort(item as Node, { service, guest, unknown }, published)
    if (unknown && ports.items.length === 0) lose('extends', notFollowed)
  }

  /**
   * With what it `extends` in this file, as Compose merges it: lists are joined, all else is said by the nearest. What
   * cannot be followed is left as `extends`.
   */
  #extended(
    service: ReadonlyMap<string, Entry>,
    services: ReadonlyMap<string, Entry>,
    depth = 0,
  ): ReadonlyMap<string, Entry> {
    const said = service.get('extends')
    if (!said) return service
    const plain = this.#plain(said.value)
    const { service: name, file } = (
      typeof plain === 'string' ? { service: plain } : (plain ?? {})
    ) as Record<string, unknown>
    const value = typeof name === 'string' && file === undefined ? services.get(name)?.value : null
    const base = depth < mostMerges ? this.#entriesOf(value ?? null) : null
    if (!base) return service
    const below = this.#extended(base, services, depth + 1)
    const whole = new Map([...below, ...service])
    for (const list of ['ports', 'networks']) {
      const [under, own] = [below.get(list), service.get(list)]
      if (under?.value && own?.value) whole.set(list, { ...own, value: this.#joined(under.value, own.value) })
    }
    if (!below.has('extends')) whole.delete('extends')
    return whole
  }

  /** What both lists hold, once each. Of a map (`networks`) its keys are the list. */
  #joined(under: Node, own: Node): Node {
    const value = this.#resolved(own)
    if (isSeq(value) && value.tag === '!override') return value
    const joined = new YAMLSeq<Node>(this.#document.schema)
    const seen = new Set<string>()
    for (const one of [under, own].map((node) => this.#resolved(node))) {
      const items = isMap(one)
        ? one.items.map(({ key }) => key as Node)
        : isSeq(one)
          ? (one.items as Node[])
          : []
      for (const item of items) {
        const plain = JSON.stringify(this.#plain(item))
        if (!seen.has(plain)) joined.items.push(item)
        seen.add(plain)
      }
    }
    return joined
  }

  /** Docker publishes by the networks of a service: none that is internal, and where its bridge says so, one address. */
  #publishedBy(mode: unknown, names: unknown): Network {
    if (mode !== null && mode !== 'bridge') return { address: null, why: noNetwork }
    const listed = Array.isArray(names) ? names : names === null ? [] : Object.keys(names as object)
    const networks = (listed.length > 0 ? listed : ['default']).map(
      (name) => this.#networks.get(String(name)) ?? open,
    )
    const ways = networks.filter(({ why }) => why === null)
    if (mode !== null || networks.length === 0) return open
    if (ways.length === 0) return networks[0] ?? open
    const addresses = new Set(ways.flatMap(({ address }) => address ?? []))
    if (addresses.size > 1) return { address: null, why: severalAddresses }
    return { address: [...addresses][0] ?? null, why: null }
  }

  #readPort(item: Node, { service, guest, unknown }: Publisher, by: Network): void {
    const node = this.#resolved(item)
    const written = isScalar(node) ? String(node.value) : JSON.stringify(this.#plain(node))
    const place = this.#at(item)
    const port = isScalar(node)
      ? shortPort(String(node.source ?? node.value))
      : isMap(node)
        ? longPort(this.#plain(node) as Record<string, unknown>)
        : unknownForm
    if ('why' in port) this.#reading.leaveOut(place, `${service}: ${written}`, port.why)
    else if (by.why) this.#reading.leaveOut(place, `${service}: ${written}`, by.why)
    else
      addPort(
        { ...port, address: port.address ?? by.address },
        {
          service,
          guest,
          written,
          place,
          losses: unknown ? [{ ...extended, place: this.#at(unknown) }] : [],
        },
        this.#reading,
      )
  }

  /** Null where it is no map. What is said in the map itself goes before what it merges, the first merged before later ones. */
  #entriesOf(node: Node | null, depth = 0): Map<string, Entry> | null {
    const map = this.#resolved(node)
    if (!isMap(map) || depth > mostMerges) return null
    const own = new Map<string, Entry>()
    const merged: Node[] = []
    for (const { key, value } of map.items as Pair<Node, Node | null>[]) {
      if (isScalar(key) && key.source === '<<' && key.type === 'PLAIN') merged.push(...this.#merged(value))
      // What is reset is as if it were not said, nor merged.
      else own.set(String(isScalar(key) ? key.value : key), { key, value: isReset(value) ? null : value })
    }
    for (const one of merged)
      for (const [name, entry] of this.#entriesOf(one, depth + 1) ?? [])
        if (!own.has(name)) own.set(name, entry)
    return own
  }

  /** One map, or a list of them. */
  #merged(node: Node | null): Node[] {
    const resolved = this.#resolved(node)
    if (isSeq(resolved)) return resolved.items as Node[]
    return resolved === null ? [] : [resolved]
  }

  #resolved(node: Node | null): Node | null {
    return isAlias(node) ? (this.#named.get(node) ?? null) : node
  }

  #plain(node: Node | null): unknown {
    return this.#resolved(node)?.toJS(this.#document, { maxAliasCount: mostAliases }) ?? null
  }

  #at(node: Node | null): SourcePlace {
    return this.#placeOf(node?.range?.[0] ?? 0)
  }
}

/** `!reset`: https://docs.docker.com/reference/compose-file/merge/#reset-value */
function isReset(value: Node | null): boolean {
  return (isScalar(value) || isSeq(value) || isMap(value)) && value.tag === '!reset'
}

/** How ports are published by a network: on which address, if it says one, or why not at all. */
interface Network {
  readonly address: string | null
  readonly why: Text | null
}

const open: Network = { address: null, why: null }
const bridge = 'com.docker.network.bridge.'

function networkOf(network: unknown): Network {
  const { internal, driver_opts: options } = (network ?? {}) as Record<string, unknown>
  if (internal === true || internal === 'true') return { address: null, why: isInternal }
  const said = (typeof options === 'object' && options !== null ? options : {}) as Record<string, unknown>
  const modes = ['ipv4', 'ipv6'].map((family) => said[`${bridge}gateway_mode_${family}`])
  if (modes.some((mode) => mode === 'routed' || mode === 'isolated'))
    return { address: null, why: isInternal }
  const address = said[`${bridge}host_binding_ipv4`]
  return typeof address === 'string' && address !== '' ? { address, why: null } : open
}

const isInternal = say('Docker publishes nothing of this network on the machine')
const noNetwork = say('without a network of its own it publishes nothing')
const severalAddresses = say('its networks publish on different addresses')

const notFollowed = say('it is not followed: run `docker compose config` and import what it prints')

const extended = {
  what: 'extends',
  why: say(
    'switched off: what it extends is not followed, and may say that it is not published. Import what `docker compose config` prints',
  ),
  off: true,
}

function addPort(
  port: Port,
  from: { service: string; guest: string; written: string; place: SourcePlace; losses: readonly PartLoss[] },
  reading: ImportContext,
): void {
  const { service, guest, written, place, losses } = from
  if (port.published === '')
    return reading.leaveOut(place, `${service}: ${written}`, say('Docker chooses the port; write one'))
  reading.add(
    place,
    ruleName(service),
    {
      listen: listenText(port.address, port.published, [port.protocol]),
      target: `docker:${guest}:${port.target}`,
      ...(losses.some(({ off }) => off) ? { enabled: false } : {}),
    },
    { what: `${service}: ${written}`, losses },
  )
}

const variable = say('variables are not replaced here: run `docker compose config` and import what it prints')
const unknownForm = {
  why: say('write [ADDRESS:]PORT:PORT[/PROTOCOL]'),
}

/** `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]` */
function shortPort(text: string): Port | { why: Text } {
  if (text.includes('$')) return { why: variable }
  const match =
    /^(?:(?:(\[[\da-f:.]+\]|[\d.]+|[\da-f]{0,4}:[\da-f:.]{1,40}):)?(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:\/(tcp|udp))?$/i.exec(
      text.trim(),
    )
  if (!match) return unknownForm
  const [, address, published = '', target = '', protocol = 'tcp'] = match
  return checked({
    address: address?.replaceAll(/[[\]]/g, '') ?? null,
    published,
    target,
    protocol: protocol.toLowerCase() as Protocol,
  })
}

function longPort(port: Record<string, unknown>): Port | { why: Text } {
  const word = (key: string): string => {
    const value = port[key]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }
  if (Object.values(port).some((value) => typeof value === 'string' && value.includes('$')))
    return { why: variable }
  const protocol = word('protocol') || 'tcp'
  if (protocol !== 'tcp' && protocol !== 'udp') return { why: say`${protocol}: only TCP and UDP` }
  return checked({
    address: word('host_ip') || null,
    published: word('published'),
    target: word('target'),
    protocol,
  })
}

/** A range to one port is Docker's to choose from; ours would send all of them there. */
function checked(port: Port): Port | { why: Text } {
  if (port.published.includes('-') && !port.target.includes('-'))
    return {
      why: say('Docker takes one free port of the range; write which'),
    }
  return port
}
