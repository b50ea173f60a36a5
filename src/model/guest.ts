/** A VM or a container as its hypervisor lists it. Plain data; members of `guests` make it. */
import type { Protocol } from '../base/port.ts'
import type { GuestKind } from './target.ts'

export interface Guest {
  readonly kind: GuestKind
  readonly name: string
  readonly id: string
  readonly state: 'running' | 'stopped' | 'paused' | 'unknown'
  readonly addresses: readonly string[]
  readonly forwards: readonly {
    readonly protocol: Protocol
    readonly hostAddress: string | null
    readonly hostPort: number
    readonly guestPort: number
    readonly ours: boolean
  }[]
}

/** What a target calls it: its name, or its id where another guest of its kind has that name too. */
export function guestName({ kind, name, id }: Guest, all: readonly Guest[]): string {
  return all.some((other) => other.kind === kind && other.name === name && other.id !== id) ? id : name
}
