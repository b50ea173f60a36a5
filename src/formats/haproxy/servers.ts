/** `server` lines as targets, and what they say of checks and PROXY headers. */
import { say, type Text } from '../../base/text.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { Json } from '../../model/hop.ts'
import type { ConfigLine, Word } from '../shared/words.ts'
import { countOf, millisecondsOf, type HaproxySettings } from './settings.ts'

export interface Servers {
  readonly targets: { to: string; weight: number; backup: boolean }[]
  health: { every: string; rise: number; fall: number } | null
  proxy: 'proxy-v1' | 'proxy-v2' | null
  readonly losses: { place: SourcePlace; what: string; why: Text }[]
  unfit: { place: SourcePlace; what: string; why: Text } | null
}

/** Parameters with a value behind them, as far as they are met on servers of TCP proxies. */
const valued =
  /^(?:weight|inter|fastinter|downinter|rise|fall|port|addr|maxconn|minconn|maxqueue|cookie|slowstart|id|init-addr|resolvers|resolve-prefer|resolve-net|resolve-opts|on-error|on-marked-down|on-marked-up|observe|error-limit|track|source|namespace|redir|sni|verify|verifyhost|ca-file|crl-file|crt|alpn|npn|ciphers|ciphersuites|proto|proxy-v2-options|tcp-ut|socks4|pool-[a-z-]+|agent-[a-z]+|usesrc|check-(?:alpn|proto|sni)|set-proxy-v2-tlv-fmt\S*|hash-key|guid|log-proto|ws|shard|ssl-(?:min|max)-ver)$/

const noSuch = say('there is no such setting here')

export function serversOf({ servers, serverDefaults }: HaproxySettings, listenPorts: string): Servers {
  const found: Servers = { targets: [], health: null, proxy: null, losses: [], unfit: null }
  for (const line of servers) {
    const [, name, address, ...own] = line.words
    if (!name || !address) continue
    const params = paramsOf([...serverDefaults, ...own])
    const lose = (what: string, why: Text = noSuch): void =>
      void found.losses.push({ place: address.place, what: `server ${name.text}: ${what}`, why })
    const weight = params.has('weight') ? Number(params.get('weight')) : 1
    if (params.has('disabled') || weight === 0) {
      lose(params.has('disabled') ? 'disabled' : 'weight 0', say('it takes no connections'))
      continue
    }
    if (params.has('ssl'))
      found.unfit ??= {
        place: address.place,
        what: `server ${name.text}: ssl`,
        why: say('TLS is passed through, not spoken'),
      }
    if (params.has('socks4'))
      found.unfit ??= {
        place: address.place,
        what: `server ${name.text}: socks4`,
        why: say('targets are dialled directly, not through a proxy'),
      }
    const to = targetOf(address.text, listenPorts)
    const checkPort = params.get('port')
    if (params.has('check') && checkPort !== undefined && !hasFirstPort(to, checkPort))
      lose(`check port ${checkPort}`, checkedItself)
    found.targets.push({
      to,
      weight: Number.isInteger(weight) && weight > 0 ? weight : 1,
      backup: params.has('backup'),
    })
    const proxy = headerOf(params)
    if (found.targets.length > 1 && proxy !== found.proxy) found.unfit ??= mixed(line)
    found.proxy = proxy
    if (params.has('check')) found.health ??= healthOf(params)
    for (const [key, value] of params) if (!known.test(key)) lose(value === '' ? key : `${key} ${value}`)
  }
  return found
}

const known =
  /^(?:weight|disabled|enabled|backup|send-proxy|send-proxy-v2|check|inter|rise|fall|port|init-addr|ssl)$/

/** What adds TLS to a header of version 2 asks for that header, too; what it adds is a loss. */
function headerOf(params: ReadonlyMap<string, string>): Servers['proxy'] {
  if (params.has('send-proxy')) return 'proxy-v1'
  const second = ['send-proxy-v2', 'send-proxy-v2-ssl', 'send-proxy-v2-ssl-cn']
  return second.some((word) => params.has(word)) ? 'proxy-v2' : null
}

const checkedItself = say('a target is checked at the port that it serves, by connecting')

/** A range is checked at its first port. */
function hasFirstPort(to: string, port: string): boolean {
  return /:(\d+)(?:-\d+)?$/.exec(to)?.[1] === port
}

function mixed(line: ConfigLine): Servers['unfit'] {
  return {
    place: line.words[0]?.place ?? { line: line.number, column: 1 },
    what: 'send-proxy',
    why: say('the servers get different PROXY headers'),
  }
}

function paramsOf(words: readonly Word[]): Map<string, string> {
  const params = new Map<string, string>()
  for (let at = 0; at < words.length; at++) {
    const key = words[at]?.text ?? ''
    const value = valued.test(key) ? (words[++at]?.text ?? '') : ''
    const undone = undoneBy(key)
    if (undone === null) params.set(key, value)
    else params.delete(undone)
    if (key === 'disabled') params.delete('enabled')
  }
  return params
}

/** A server takes back what `default-server` says: `no-check`, `no-send-proxy`, `no-ssl`, `enabled` … */
function undoneBy(key: string): string | null {
  if (key === 'enabled') return 'disabled'
  return /^no-(.+)$/.exec(key)?.[1] ?? null
}

/** haproxy looks every 2 s where nothing is said (`inter`). */
function healthOf(params: ReadonlyMap<string, string>): NonNullable<Servers['health']> {
  return {
    every: `${millisecondsOf(params.get('inter') ?? '') ?? 2000}ms`,
    rise: countOf(params.get('rise') ?? '') ?? 2,
    fall: countOf(params.get('fall') ?? '') ?? 3,
  }
}

/** `10.0.0.2:80`, `[::1]:80`, `db:5432`, `unix@/path`; without a port, or with `:+1000`, from the client's port. */
function targetOf(address: string, listenPorts: string): string {
  const bare = address.replace(/^(?:ipv[46]@|unix@)/, '')
  if (bare.startsWith('/') || address.startsWith('unix@')) return `unix:${bare}`
  const [, host = '', port = ''] = /^(.*?)(?::([+-]?\d*))?$/.exec(bare) ?? []
  const plain = host.startsWith('[') ? host.slice(1, -1) : host
  const where = plain.includes(':') ? `[${plain}]` : plain
  if (/^\d+$/.test(port)) return `${where}:${port}`
  const shift = Number(port) || 0
  return `${where}:${listenPorts
    .split('-')
    .map((one) => Number(one) + shift)
    .join('-')}`
}

export function targetsJson(
  groups: readonly { readonly name: string | null; readonly targets: Servers['targets'] }[],
): { target: string } | { targets: Json[] } {
  const all = groups.flatMap(({ name, targets }) =>
    targets.map(({ to, weight, backup }) => ({
      to,
      ...(weight === 1 ? {} : { weight }),
      ...(backup ? { backup } : {}),
      ...(name === null ? {} : { name }),
    })),
  )
  const [only] = all
  return all.length === 1 && only && Object.keys(only).length === 1 ? { target: only.to } : { targets: all }
}
