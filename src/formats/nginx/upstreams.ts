/** What `proxy_pass` may name: an upstream, a map by server name, or a place itself. */
import { say, type Text } from '../../base/text.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import type { Json } from '../../model/hop.ts'
import type { PartLoss } from '../shared/import-context.ts'
import type { Statement } from './tree.ts'
import { noSuch } from './words.ts'

interface Upstream {
  readonly targets: readonly { to: string; weight: number; backup: boolean }[]
  readonly balance: string | null
}

export interface NginxTargets {
  /** What it is called there; null for a bare place. */
  readonly name: string | null
  readonly rule: RuleInput
}

export class Upstreams {
  readonly losses: PartLoss[] = []
  readonly #upstreams = new Map<string, Upstream>()
  /** By the variable that the map fills. */
  readonly #maps = new Map<string, { names: [string | null, string][]; unclear: boolean }>()
  readonly #zones = new Set<string>()

  constructor(stream: readonly Statement[]) {
    for (const statement of stream) {
      const { name, args, block } = statement
      if (name === 'upstream' && block && args[0])
        this.#upstreams.set(args[0], this.#upstream(args[0], block))
      else if (name === 'map' && block) this.#map(statement, block)
      else if (name === 'limit_conn_zone' && /^\$(?:binary_)?remote_addr$/.test(args[0] ?? ''))
        this.#zones.add(/^zone=([^:]+):/.exec(args[1] ?? '')?.[1] ?? '')
      else if (name === 'limit_conn_zone')
        this.losses.push({ place: statement.place, what: `limit_conn_zone ${args.join(' ')}`, why: noSuch })
    }
  }

  isMap(pass: string): boolean {
    return this.#maps.has(pass)
  }

  countsSources(zone: string): boolean {
    return this.#zones.has(zone)
  }

  /** @param ports of the listen, which `$server_port` stands for. */
  targetsOf(pass: string, ports: string): NginxTargets | { why: Text } {
    const map = this.#maps.get(pass)
    if (map?.unclear)
      return {
        why: say('its map is not one of plain server names'),
      }
    if (map) return this.#byName(map.names, ports)
    const upstream = this.#upstreams.get(pass)
    if (upstream) return { name: pass, rule: ruleOf([[null, upstream]]) }
    const place = placeOf(pass, ports)
    return place === null ? { why: unknownPlace } : { name: null, rule: ruleOf([[null, alone(place)]]) }
  }

  #byName(names: readonly [string | null, string][], ports: string): NginxTargets | { why: Text } {
    const groups: [string | null, Upstream][] = []
    for (const [name, pass] of names) {
      const place = placeOf(pass, ports)
      const upstream = this.#upstreams.get(pass) ?? (place === null ? null : alone(place))
      if (upstream === null) return { why: unknownPlace }
      groups.push([name, upstream])
    }
    return { name: null, rule: ruleOf(groups) }
  }

  #upstream(name: string, block: readonly Statement[]): Upstream {
    const targets: { to: string; weight: number; backup: boolean }[] = []
    let balance: string | null = null
    const lose = ({ place }: Statement, what: string, why = noSuch): void =>
      void this.losses.push({ place, what: `upstream ${name}: ${what}`, why })
    for (const statement of block) {
      const { name: word, args } = statement
      const [address = '', ...options] = args
      if (word === 'server') {
        if (options.includes('down')) {
          lose(statement, `server ${address} down`, say('it takes no connections'))
          continue
        }
        const weight = options.find((option) => /^weight=\d{1,3}$/.test(option))
        const extra = options.filter((option) => option !== weight && option !== 'backup')
        if (extra.length > 0) lose(statement, `server ${address} ${extra.join(' ')}`)
        targets.push({
          to: placeOf(address, '') ?? address,
          weight: weight === undefined ? 1 : Number(weight.slice(7)),
          backup: options.includes('backup'),
        })
      } else if (word === 'least_conn') balance = 'least-connections'
      else if (word === 'hash' && /^\$(?:binary_)?remote_addr$/.test(address)) balance = 'source-hash'
      else if (word !== 'zone') lose(statement, [word, ...args].join(' '))
    }
    return { targets, balance }
  }

  #map({ args, place }: Statement, block: readonly Statement[]): void {
    const [from, variable = ''] = args
    if (from !== '$ssl_preread_server_name') {
      this.losses.push({ place, what: `map ${args.join(' ')}`, why: noSuch })
      this.#maps.set(variable, { names: [], unclear: true })
      return
    }
    const names: [string | null, string][] = []
    let unclear = false
    // Without the word a "*" is a sign like any other, and no client asks for such a name.
    const hasHosts = block.some(({ name }) => name === 'hostnames')
    for (const { name, args: values } of block) {
      const value = values[0] ?? ''
      if (name === 'hostnames' || name === 'volatile' || value === '') continue
      if (name === 'default') names.push([null, value])
      else if (/^~|^include$/.test(name)) unclear = true
      else if (!hasHosts && /^[.*]|\*$/.test(name)) continue
      else if (name.startsWith('.')) names.push([name.slice(1), value], [`*${name}`, value])
      else names.push([name, value])
    }
    // The rule names who serves all others last.
    names.sort(([a], [b]) => Number(a === null) - Number(b === null))
    this.#maps.set(variable, { names, unclear })
  }
}

const unknownPlace = say('it is no address and port, and no upstream of this file')

function alone(to: string): Upstream {
  return { targets: [{ to, weight: 1, backup: false }], balance: null }
}

/** `10.0.0.2:80`, `[::1]:80`, `name:80`, `unix:/path`, `10.0.0.2:$server_port`. */
function placeOf(text: string, ports: string): string | null {
  if (text.startsWith('unix:')) return text
  const place = text.replace(/\$(?:server_port|\{server_port\})$/, ports)
  return /^(?:\[[\da-f:.%\w]+\]|[\w.-]+):\d+(?:-\d+)?$/i.test(place) ? place : null
}

function ruleOf(groups: readonly [string | null, Upstream][]): RuleInput {
  const targets: Json[] = groups.flatMap(([name, { targets: some }]) =>
    some.map(({ to, weight, backup }) => ({
      to,
      ...(weight === 1 ? {} : { weight }),
      ...(backup ? { backup } : {}),
      ...(name === null ? {} : { name }),
    })),
  )
  const balance = groups.find(([, upstream]) => upstream.balance !== null)?.[1].balance ?? null
  return { targets, ...(balance === null ? {} : { balance }) }
}
