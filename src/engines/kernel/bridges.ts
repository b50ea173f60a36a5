/**
 * Bridges that hand what they bridge to this machine's filters and NAT (br_netfilter, `bridge-nf-call-iptables`): what a guest
 * sends to a forward that leads back over its bridge is given the target's address while it is bridged, and a bridge
 * sends nothing out of the port that it came in by, unless that port is in hairpin mode (bridge(8)).
 */
import { type Family } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import type { Host, Interface } from '../../host/contract.ts'
import { fresh } from './lately.ts'
import type { Clock } from '../../base/clock.ts'
import { withLimit } from '../../base/clock.ts'
import { isOnLink } from './masquerade.ts'
import type { ProcSys } from './proc-sys.ts'

/** Where this machine's own packets to an address would be lost; names of bridges by family. */
type OneWay = Readonly<Record<Family, ReadonlySet<string>>>

const limitMs = 10_000

/** The ways out of this machine, as far as one of them is a reason not to carry to an address. */
export class Bridges {
  readonly #oneWay: () => Promise<OneWay | null>
  readonly #interfaces: () => Promise<readonly Interface[]>
  readonly #byDefault: () => Promise<Readonly<Record<Family, string | undefined>>>

  constructor(
    { runner, network }: Pick<Host, 'runner' | 'network'>,
    parts: {
      readonly clock: Clock
      readonly settings: Pick<ProcSys, 'read'>
      readonly interfaces: () => Promise<readonly Interface[]>
    },
  ) {
    const { clock, settings, interfaces } = parts
    const signal = (): AbortSignal => withLimit(undefined, limitMs)
    const links = async (): Promise<unknown> => {
      const { exit, stdout } = await runner.run(['ip', '-d', '-j', 'link', 'show'], { signal: signal() })
      return exit === 0 ? JSON.parse(stdout) : []
    }
    this.#interfaces = interfaces
    this.#byDefault = fresh(clock, async () => {
      const routes = await network.defaultRoutes({ signal: signal() })
      const by = (family: Family): string | undefined =>
        routes.find((route) => route.family === family)?.interface
      return { 4: by(4), 6: by(6) }
    })
    this.#oneWay = fresh(clock, () => oneWayBridges(settings, links).catch(() => null))
  }

  /** Why the kernel does not carry to that address; null where nothing of this kind is in the way. */
  async noOf(address: string): Promise<Text | null> {
    const oneWay = await this.#oneWay()
    const family: Family = address.includes(':') ? 6 : 4
    if (oneWay === null || oneWay[family].size === 0) return null
    const link = (await this.#interfaces()).find((one) => isOnLink(one, address))?.name
    const out = link ?? (await this.#byDefault().catch(() => null))?.[family]
    return out !== undefined && oneWay[family].has(out) ? noOfBridge(out) : null
  }
}

const noOfBridge = (bridge: string): Text =>
  say`${bridge} gives iptables what it bridges (net.bridge.bridge-nf-call-iptables), and sends nothing back by the port it came in by: who is on it would be lost to a forward that leads there`

const switchOf = {
  4: 'net/bridge/bridge-nf-call-iptables',
  6: 'net/bridge/bridge-nf-call-ip6tables',
} as const
const ownSwitchOf = { 4: 'nf_call_iptables', 6: 'nf_call_ip6tables' } as const

/** Null where no bridge asks the filters: br_netfilter is not there. */
async function oneWayBridges(
  settings: Pick<ProcSys, 'read'>,
  read: () => Promise<unknown>,
): Promise<OneWay | null> {
  if (settings.read(switchOf[4]) === null) return null
  const links = readLinks(await read())
  const of = (family: Family): ReadonlySet<string> => {
    const all = settings.read(switchOf[family]) === '1'
    const calling = links.filter(({ kind, calls }) => kind === 'bridge' && (all || calls[family]))
    return new Set(
      calling
        .map(({ name }) => name)
        .filter((name) => links.some(({ master, hairpin }) => master === name && !hairpin)),
    )
  }
  return { 4: of(4), 6: of(6) }
}

interface Link {
  readonly name: string
  readonly master: string | null
  readonly kind: string | null
  /** Whether this bridge asks the filters whatever the machine's switch says. */
  readonly calls: Readonly<Record<Family, boolean>>
  /** It sends out of this port what came in by it. */
  readonly hairpin: boolean
}

/** @param links what `ip -d -j link show` prints */
export function readLinks(links: unknown): Link[] {
  return listOf(links).map((link) => {
    const { ifname, master, linkinfo } = objectOf(link)
    const { info_kind: kind, info_data: data, info_slave_data: port } = objectOf(linkinfo)
    return {
      name: typeof ifname === 'string' ? ifname : '',
      master: typeof master === 'string' ? master : null,
      kind: typeof kind === 'string' ? kind : null,
      calls: { 4: objectOf(data)[ownSwitchOf[4]] === 1, 6: objectOf(data)[ownSwitchOf[6]] === 1 },
      hairpin: objectOf(port)['hairpin'] === true,
    }
  })
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
