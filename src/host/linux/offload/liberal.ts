/**
 * Tells conntrack not to mind the sequence numbers of one TCP connection: of what is offloaded it sees a packet a
 * second, and would take the next for another's. nft's own flow offload does the same (nft_flow_offload.c).
 */
import { familyIn, Netlink, type Attribute } from './netlink.ts'

/** IPCTNL_MSG_CT_NEW of NFNL_SUBSYS_CTNETLINK, without NLM_F_CREATE: what is there is changed. */
const change = 0x100
/** linux/netfilter/nfnetlink_conntrack.h */
const tuple = {
  original: 1,
  ip: 1,
  protocol: 2,
  addresses: { 4: { source: 1, destination: 2 }, 16: { source: 3, destination: 4 } },
  number: 1,
  from: 2,
  to: 3,
} as const
const info = { protocol: 4, tcp: 1, flagsOriginal: 4, flagsReply: 5 } as const
/** IP_CT_TCP_FLAG_BE_LIBERAL, as value and as mask. */
const liberal = Uint8Array.of(8, 8)
const tcp = 6

export class Conntrack {
  readonly #netlink = new Netlink('netfilter')

  /**
   * @param client four or sixteen bytes of address and two of port, as on the wire. @param listen likewise.
   * @returns whether it is done.
   */
  beLiberal(client: Uint8Array, listen: Uint8Array): boolean {
    const from = client.subarray(0, -2)
    const { source, destination } = tuple.addresses[from.length === 4 ? 4 : 16]
    const addresses: Attribute[] = [
      [source, from],
      [destination, listen.subarray(0, -2)],
    ]
    const ports: Attribute[] = [
      [tuple.number, Uint8Array.of(tcp)],
      [tuple.from, client.subarray(-2)],
      [tuple.to, listen.subarray(-2)],
    ]
    const flags: Attribute[] = [
      [info.flagsOriginal, liberal],
      [info.flagsReply, liberal],
    ]
    return this.#netlink.tell(change, Uint8Array.of(familyIn(from), 0, 0, 0), [
      [tuple.original, [[tuple.ip, addresses] as const, [tuple.protocol, ports] as const]],
      [info.protocol, [[info.tcp, flags] as const]],
    ])
  }

  close(): void {
    this.#netlink.close()
  }
}
