/** Every kind of guest Naru knows. A new kind is one file and one line here. */
import type { GuestMember } from './contract.ts'
import { docker, podman } from './docker/docker.ts'
import { hyperv } from './hyperv/hyperv.ts'
import { libvirt } from './libvirt/libvirt.ts'
import { qemu } from './qemu/qemu.ts'
import { virtualbox } from './virtualbox/virtualbox.ts'
import { vmware } from './vmware/vmware.ts'
import { wsl } from './wsl/wsl.ts'

export function guestMembers(): readonly GuestMember[] {
  return [docker(), podman(), qemu(), vmware(), virtualbox(), libvirt(), wsl(), hyperv()]
}
