/** Every kind of guest Naru knows. A new kind is one file and one line here. */
import type { GuestMember } from './contract.ts'
import { docker, podman } from './docker/docker.ts'
import { qemu } from './qemu/qemu.ts'

export function guestMembers(): readonly GuestMember[] {
  return [docker(), podman(), qemu()]
}
