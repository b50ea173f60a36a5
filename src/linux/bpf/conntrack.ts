/** What conntrack is asked and told about single connections. */
import { loadFfi } from '../libc.ts'
import { transports, type IpTransport } from './layout.ts'
import { attributesIn, familyIn, Netlink, type Attribute } from './netlink.ts'

/** IPCTNL_MSG_CT_NEW of NFNL_SUBSYS_CTNETLINK, without NLM_F_CREATE: what is there is changed; _GET and _DELETE. */
const [change, get, remove] = [0x100, 0x101, 0x102]
/** linux/netfilter/nfnetlink_conntrack.h */
const tuple = {
  original: 1,
  reply: 2,
  ip: 1,
  protocol: 2,
  addresses: { 4: { source: 1, destination: 2 }, 16: { source: 3, destination: 4 } },
  number: 1,
  from: 2,
  to: 3,
} as const
/** CTA_TIMEOUT. */
const timeout = 7
const info = { protocol: 4, tcp: 1, flagsOriginal: 4, flagsReply: 5 } as const
/** IP_CT_TCP_FLAG_BE_LIBERAL, as value and as mask. */
const liberal = Uint8Array.of(8, 8)

/** Four or sixteen bytes of address and two of port, as on the wire: of who sends, and to whom. */
type FromTo = readonly [from: Uint8Array, to: Uint8Array]

export class Conntrack {
  readonly #netlink = new Netlink('netfilter')

  /** Null where there is no koffi to ask by. */
  static open(): Conntrack | null {
    try {
      loadFfi()
      return new Conntrack()
    } catch {
      return null
    }
  }

  /**
   * It is not to mind the sequence numbers of a TCP connection: of what is offloaded it sees a packet a second, and
   * would take the next for another's. nft's own flow offload does the same (nft_flow_offload.c). @returns whether it is done.
   */
  beLiberal(way: FromTo): boolean {
    const flags: Attribute[] = [
      [info.flagsOriginal, liberal],
      [info.flagsReply, liberal],
    ]
    return this.#tell('tcp', way, [info.protocol, [[info.tcp, flags] as const]])
  }

  /** It forgets the connection no sooner than in so many seconds. */
  keep(protocol: IpTransport, way: FromTo, seconds: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, seconds)
    this.#tell(protocol, way, [timeout, bytes])
  }

  /** Whether what goes this way, or answers what does, gets other addresses or ports; what it does not know does not. */
  isRewritten(protocol: IpTransport, as: 'original' | 'reply', way: FromTo): boolean {
    const told = this.#netlink.ask(get, header(way), [[tuple[as], tupleOf(protocol, way)]])
    const other = told?.attributes.get(tuple[as === 'original' ? 'reply' : 'original'])
    if (told?.type !== change || !other) return false
    return !isTuple(other, [way[1], way[0]])
  }

  /**
   * Its next packet belongs to no connection. In microseconds, where conntrack(8) reads the whole table for each, 10 ms.
   * @returns whether it was there.
   */
  forget(protocol: IpTransport, way: FromTo): boolean {
    return this.#netlink.tell(remove, header(way), [[tuple.original, tupleOf(protocol, way)]])
  }

  #tell(protocol: IpTransport, way: FromTo, what: Attribute): boolean {
    return this.#netlink.tell(change, header(way), [[tuple.original, tupleOf(protocol, way)], what])
  }

  close(): void {
    this.#netlink.close()
  }
}

const header = ([from]: FromTo): Uint8Array => Uint8Array.of(familyIn(from.subarray(0, -2)), 0, 0, 0)

const addressKinds = (address: Uint8Array): { source: number; destination: number } =>
  tuple.addresses[address.length === 4 ? 4 : 16]

function tupleOf(protocol: IpTransport, [from, to]: FromTo): readonly Attribute[] {
  const { source, destination } = addressKinds(from.subarray(0, -2))
  const addresses: Attribute[] = [
    [source, from.subarray(0, -2)],
    [destination, to.subarray(0, -2)],
  ]
  const ports: Attribute[] = [
    [tuple.number, Uint8Array.of(transports[protocol].number)],
    [tuple.from, from.subarray(-2)],
    [tuple.to, to.subarray(-2)],
  ]
  return [
    [tuple.ip, addresses],
    [tuple.protocol, ports],
  ]
}

function isTuple(bytes: Uint8Array, [from, to]: FromTo): boolean {
  const within = attributesIn(bytes)
  const addresses = attributesIn(within.get(tuple.ip) ?? new Uint8Array(0))
  const ports = attributesIn(within.get(tuple.protocol) ?? new Uint8Array(0))
  const { source, destination } = addressKinds(from.subarray(0, -2))
  const equal = (one: Uint8Array | undefined, other: Uint8Array): boolean =>
    one !== undefined && Buffer.compare(one, other) === 0
  return (
    equal(addresses.get(source), from.subarray(0, -2)) &&
    equal(addresses.get(destination), to.subarray(0, -2)) &&
    equal(ports.get(tuple.from), from.subarray(-2)) &&
    equal(ports.get(tuple.to), to.subarray(-2))
  )
}
