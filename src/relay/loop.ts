/**
 * A listen that is its own target would carry each connection round and round until descriptors run out. Known
 * before listening where the target is an address, and again at each dial where it is a name.
 */
import { networkInterfaces } from 'node:os'
import { unmapped } from '../base/address.ts'
import type { Listen } from '../model/listen.ts'
import type { Target } from '../model/target.ts'
import { targetPort } from '../model/port-map.ts'

/** True where dialling `address:port` of this machine reaches the listener itself. */
export function reachesListen(
  listen: Listen,
  address: string,
  port: number,
  isLocal: (address: string) => boolean = isLocalAddress,
): boolean {
  if (listen.kind === 'unix' || port < listen.ports.first || port > listen.ports.last) return false
  const dialled = unmapped(address)
  // Dialling the unspecified address means this machine (connect(2) takes it for loopback).
  const unspecified = dialled === '0.0.0.0' || dialled === '::'
  if (!unspecified && !isLocal(dialled)) return false
  const own = listen.address
  if (own === null || own === dialled) return true
  if (own === '0.0.0.0') return !dialled.includes(':')
  if (own === '::') return dialled.includes(':')
  return (dialled === '0.0.0.0' && own === '127.0.0.1') || (dialled === '::' && own === '::1')
}

/** True where some port of the rule would be carried to the rule itself. Names are not resolved. */
export function targetsItself(
  listen: Listen,
  target: Target,
  isLocal: (address: string) => boolean = isLocalAddress,
): boolean {
  if (target.kind === 'unix') return listen.kind === 'unix' && listen.path === target.path
  if (target.kind === 'guest' || listen.kind === 'unix') return false
  const host = /^localhost\.?$/.test(target.host) ? '127.0.0.1' : target.host
  if (!/^[\d.]+$|:/.test(host)) return false
  // Reading the interfaces takes 0.1 ms, which thousands of rules feel: only where the ports do meet, and once.
  let known: boolean | undefined
  const local = (): boolean => (known ??= isLocal(unmapped(host)))
  for (let port = listen.ports.first; port <= listen.ports.last; port++) {
    const carriedTo = targetPort(port, listen.ports, target.ports)
    // Another port of the same rule is a chain that may end; only a port that comes back to itself never does.
    const returns = carriedTo === port || target.ports.first === target.ports.last
    if (returns && reachesListen(listen, host, carriedTo, local)) return true
  }
  return false
}

/** Any of 127.0.0.0/8 and what the machine's interfaces have now. */
export function isLocalAddress(address: string): boolean {
  if (address.startsWith('127.') || address === '::1') return true
  return ownAddresses().has(address.split('%')[0] as string)
}

/** So long one reading, 0.1 ms and more with many interfaces, serves whoever asks: thousands of rules do. */
const freshMs = 10

let own: { readonly addresses: ReadonlySet<string>; readonly readAt: number } | null = null

/** By time and not by turns of the loop: that of a worker of ours never turns. */
function ownAddresses(): ReadonlySet<string> {
  const now = performance.now()
  if (own && now - own.readAt < freshMs) return own.addresses
  const entries = Object.values(networkInterfaces()).flatMap((some) => some ?? [])
  own = { addresses: new Set(entries.map(({ address }) => address)), readAt: now }
  return own.addresses
}
