/** VMs and containers: found by name when dialled, or forwarded to by their own hypervisor. */
import type { PortRange, Protocol } from '../base/port.ts'
import type { Host } from '../host/contract.ts'
import type { Json, Lease, OpenOptions } from '../model/hop.ts'
import type { Support } from '../model/support.ts'
import type { GuestKind } from '../model/target.ts'
import type { Guest } from '../model/guest.ts'

export type { Guest } from '../model/guest.ts'

export interface GuestMember {
  readonly kind: GuestKind
  /** Is that hypervisor here at all? */
  detect(options: GuestOptions): Promise<Support>
  list(options: GuestOptions): Promise<readonly Guest[]>
  /**
   * The guest's addresses now, to dial directly. @throws NaruError GUEST_UNKNOWN (lists those there are),
   * GUEST_STOPPED, GUEST_AMBIGUOUS, GUEST_SILENT, GUEST_NO_ADDRESS
   */
  resolve(
    name: string,
    options: GuestOptions,
  ): Promise<{
    readonly addresses: readonly string[]
    readonly ttlMs: number
    /**
     * The hypervisor itself, and not somebody in the guest, says that this machine's addresses are the guest's, too.
     * Without it such addresses are never dialled. @default false
     */
    readonly sharesNetwork?: boolean
  }>
  /** Whether the relay can reach the guest's own address, or the hypervisor must forward (`nat`). */
  reach(name: string, options: GuestOptions): Promise<'direct' | 'nat'>
  /** The hypervisor's own forward. @throws NaruError GUEST_… where the kind has none: says which way works. */
  open(request: GuestForwardRequest, options: GuestOptions & OpenOptions): Promise<GuestLease>
  undo(effect: Json, options: GuestOptions): Promise<void>
}

export interface GuestOptions {
  readonly host: Host
  readonly signal: AbortSignal
}

export interface GuestForwardRequest {
  readonly rule: string
  readonly name: string
  readonly protocol: Protocol
  /** Where the hypervisor is to listen; null lets the member choose a free loopback port for the relay to dial. */
  readonly hostAddress: string | null
  readonly hostPorts: PortRange | null
  readonly guestPorts: PortRange
}

export interface GuestLease extends Lease {
  readonly leadsTo: { readonly kind: GuestKind; readonly name: string }
  /** Where the forward listens. */
  readonly host: { readonly address: string; readonly ports: PortRange }
}
