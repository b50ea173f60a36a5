/**
 * Programs of somebody else's that see what sockets of this process send and receive, as systemd's IPAddressDeny= and
 * IPAccounting= have them on a service (systemd.resource-control(5)): they hang on its control group or on one above
 * it. What the kernel redirects, and what is carried past sockets, never comes by them.
 */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { close, Descriptor, EINVAL, loadFfi, mountApart } from '../libc.ts'
import { Calls } from './calls.ts'

/** `unknown` where it cannot be told: the group cannot be seen, or bpf(2) cannot be called. */
export type OnSockets = 'none' | 'some' | 'unknown'

let calls: Calls | null = null

export function programsOnSockets(): OnSockets {
  const group = ownGroup()
  if (typeof group !== 'number') return group
  try {
    loadFfi()
    const programs = (calls ??= new Calls()).onGroup(Descriptor.borrow(group))
    // A kernel without CONFIG_CGROUP_BPF has no such programs.
    if (typeof programs === 'number') return programs === -EINVAL ? 'none' : 'unknown'
    return programs.length > 0 ? 'some' : 'none'
  } catch {
    return 'unknown'
  } finally {
    closeSync(group)
  }
}

/**
 * Open, for whoever closes it; `none` where this machine keeps none of the kind that programs hang on (cgroups(7)). Who
 * sees no mount of it (`ip netns exec` has a /sys of its own) makes one for himself.
 */
function ownGroup(): number | 'none' | 'unknown' {
  const path = /^0::(.*)$/m.exec(textOf('/proc/self/cgroup') ?? '')?.[1]
  if (path === undefined) return 'none'
  const root = /^(?:\S+ ){4}(\S+) .* - cgroup2 /m.exec(textOf('/proc/self/mountinfo') ?? '')?.[1]
  return (root === undefined ? openedApart(path) : opened(root + path)) ?? 'unknown'
}

function openedApart(path: string): number | null {
  try {
    loadFfi()
  } catch {
    return null
  }
  const mount = mountApart('cgroup2')
  if (typeof mount === 'number') return null
  try {
    return opened(`/proc/self/fd/${Descriptor.number(mount)}${path}`)
  } finally {
    close(mount)
  }
}

function opened(folder: string): number | null {
  try {
    return openSync(folder, 'r')
  } catch {
    return null
  }
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
