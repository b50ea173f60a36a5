/** What QEMU's human monitor prints, turned into data: `info usernet` and `info network`. Recorded from QEMU 7.2. */
import type { Protocol } from '../../base/port.ts'
import type { Forward } from '../shared/forwards.ts'

export interface UserForward extends Forward {
  /** The network back end that keeps it, such as `n0`. */
  readonly netdev: string
  readonly guestAddress: string
}

export interface QemuNic {
  readonly mac: string
  readonly netdev: string
  /** `user` is QEMU's own NAT; `tap` and others are networks of the host. */
  readonly type: string
  /** The host's interface, where the back end has one. */
  readonly interface: string | null
}

/**
 *     Hub -1 (n0):
 *       Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
 *       TCP[HOST_FORWARD]   8               * 18222       10.0.2.15    22     0     0
 */
export function parseUserNet(text: string): readonly UserForward[] {
  const forwards: UserForward[] = []
  let netdev = ''
  for (const line of text.split(/\r?\n/)) {
    if (/^\S/.test(line) && line.endsWith('):')) netdev = line.slice(line.lastIndexOf('(') + 1, -2)
    const row = /^\s+(TCP|UDP)\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+(\S+)\s+(\d+)\s/.exec(line)
    if (!row) continue
    const [, protocol = '', source = '', hostPort, guestAddress = '', guestPort] = row
    forwards.push({
      netdev,
      protocol: protocol.toLowerCase() as Protocol,
      hostAddress: source === '*' || source === '0.0.0.0' ? null : source,
      hostPort: Number(hostPort),
      guestAddress,
      guestPort: Number(guestPort),
    })
  }
  return forwards
}

/**
 *     virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56
 *      \ n0: index=0,type=user,net=10.0.2.0,restrict=off
 */
export function parseNetwork(text: string): readonly QemuNic[] {
  const nics: QemuNic[] = []
  let mac: string | null = null
  for (const line of text.split(/\r?\n/)) {
    const card = line.includes('type=nic,') ? /macaddr=([\da-f:]{17})/i.exec(line) : null
    mac = card?.[1]?.toLowerCase() ?? mac
    const backEnd = /^ \\ (.+?): index=\d+,type=([\w-]+)(.*)$/s.exec(line)
    if (!backEnd || mac === null) continue
    const [, netdev = '', type = '', rest = ''] = backEnd
    nics.push({ mac, netdev, type, interface: /ifname=([^,]+)/.exec(rest)?.[1] ?? null })
    mac = null
  }
  return nics
}
