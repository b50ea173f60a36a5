/**
 * What a Linux network device is to us, told from what `ip -d` says of it and, for a veth or tap, from the bridge it
 * is in. A VPN or a hypervisor's adapter is no way to a router.
 */
import { existsSync } from 'node:fs'
import type { Interface } from '../contract.ts'

/** One device as `ip -j -d address` prints it; only what we read. */
export interface IpDevice {
  readonly ifname?: string
  readonly ifindex?: number
  readonly flags?: readonly string[]
  readonly address?: string
  readonly link_type?: string
  readonly master?: string
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly type?: string } }
  readonly addr_info?: readonly IpAddress[]
}

export interface IpAddress {
  readonly local?: string
  readonly prefixlen?: number
  readonly temporary?: boolean
  readonly deprecated?: boolean
  readonly tentative?: boolean
  readonly dadfailed?: boolean
  readonly valid_life_time?: number
}

const tunnels = new Set([
  'wireguard',
  'ipip',
  'sit',
  'gre',
  'ip6tnl',
  'ip6gre',
  'vti',
  'vti6',
  'xfrm',
  'l2tp',
  'gretap',
])
const containerNames = /^(docker|br-[0-9a-f]{12}$|veth|cni|cali|flannel|podman|lxcbr|lxdbr|nerdctl|kube)/
const vmNames = /^(virbr|vmnet|vboxnet|vnet\d|tap\d|macvtap|fwbr|fwpr|fwln|vmbr\d+v)/

export function kindOf(device: IpDevice, all: readonly IpDevice[]): Interface['kind'] {
  const name = device.ifname ?? ''
  const kind = device.linkinfo?.info_kind
  if (name === 'lo' || device.flags?.includes('LOOPBACK')) return 'loopback'
  if (vmNames.test(name)) return 'vm'
  if (kind === 'tun') return device.linkinfo?.info_data?.type === 'tap' ? tapKind(device, all) : 'vpn'
  if (kind && tunnels.has(kind)) return 'vpn'
  if (/^(tun|wg|utun|tailscale|zt|nordlynx|proton|ipsec)/.test(name)) return 'vpn'
  // A veth is one end of a container's cable on the host; inside the container it is that machine's own card.
  if (containerNames.test(name)) return 'container'
  if (isWifi(name)) return 'wifi'
  if (kind === 'dummy' || kind === 'ifb' || kind === 'nlmon' || device.link_type === 'ppp') return 'other'
  return device.link_type === undefined || device.link_type === 'ether' ? 'ethernet' : 'other'
}

/** OpenVPN in tap mode, unless it is a VM's cable into a bridge. */
function tapKind(device: IpDevice, all: readonly IpDevice[]): Interface['kind'] {
  return all.some((other) => other.ifname === device.master) ? 'vm' : 'vpn'
}

function isWifi(name: string): boolean {
  return /^(wl|wifi|ath\d)/.test(name) || existsSync(`/sys/class/net/${name}/phy80211`)
}
