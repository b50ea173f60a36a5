/** Tells this Naru on this machine from every other one, in the description of its mappings. */
import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import type { Host } from '../host/contract.ts'

/** Eight hexadecimal digits, from the instance and the machine's own network cards: two machines may have the same file. */
export async function ownerTag(instance: string, host: Host, signal: AbortSignal): Promise<string> {
  const interfaces = await host.network.interfaces({ signal }).catch(() => [])
  const cards = interfaces.flatMap(({ kind, mac }) =>
    mac && ['ethernet', 'wifi'].includes(kind) ? [mac] : [],
  )
  return createHash('sha256')
    .update([instance, hostname(), ...cards.sort()].join(' '))
    .digest('hex')
    .slice(0, 8)
}
