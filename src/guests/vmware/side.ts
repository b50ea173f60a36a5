/** The two ways to VMware: its REST server, or its tools and configuration where that does not run. */
import type { PortRange, Protocol } from '../../base/port.ts'
import type { Text } from '../../base/text.ts'

export interface Vm {
  /** The REST server's id, or the path of the .vmx file. */
  readonly id: string
  readonly name: string
  readonly path: string
  readonly state: 'running' | 'stopped' | 'paused' | 'unknown'
}

export interface VmNic {
  /** Lower case, with colons. */
  readonly mac: string
  /** `nat`, `hostonly`, `bridged` or `custom`. */
  readonly type: string
  /** Such as `vmnet8`. */
  readonly vmnet: string
}

/** A row of VMware's NAT: it listens on every address of this machine. */
export interface NatForward {
  readonly protocol: Protocol
  readonly hostPort: number
  readonly guestAddress: string
  readonly guestPort: number
  /** Its description; null where VMware keeps none. */
  readonly tag: string | null
}

export interface VmwareSide {
  /** Shown: an address or a tool. */
  readonly where: string
  vms(signal: AbortSignal): Promise<readonly Vm[]>
  /** Null where VMware Tools do not run in the guest or it has none yet. */
  addressOf(vm: Vm, signal: AbortSignal): Promise<string | null>
  nicsOf(vm: Vm, signal: AbortSignal): Promise<readonly VmNic[]>
  forwards(vmnet: string, signal: AbortSignal): Promise<readonly NatForward[]>
  add(vmnet: string, forward: NatForward, signal: AbortSignal): Promise<void>
  remove(vmnet: string, forward: NatForward, signal: AbortSignal): Promise<void>
  /** Which address DHCP always gives a network card; null is none. */
  pinOf(vmnet: string, mac: string, signal: AbortSignal): Promise<string | null>
  pin(vmnet: string, mac: string, address: string | null, signal: AbortSignal): Promise<void>
  /** Set where a change cuts every VM's network for a moment, and was not agreed to. */
  readonly costly: { readonly why: Text; readonly fix: Text } | null
  /** Left out where whoever may ask may change as well. @throws NaruError NOT_PERMITTED with what to type instead */
  permitted?(
    vmnet: string,
    wanted: { readonly address: string; readonly protocol: Protocol; readonly guestPorts: PortRange },
  ): Promise<void>
  /** What a forward of this side does besides. */
  readonly notes: readonly Text[]
}

/** `/vms/win10/win10.vmx` and `C:\VMs\win10\win10.vmx` are both `win10`. */
export function nameOfVmx(path: string): string {
  return (path.split(/[/\\]/).pop() ?? path).replace(/\.vmx$/i, '')
}
