/** IPv6 zones: as Node takes them, and the link that one names. */
import { networkInterfaces } from 'node:os'
import type { Clock } from '../base/clock.ts'
import { say, type Text } from '../base/text.ts'

type Interfaces = ReturnType<typeof networkInterfaces>

/** libuv knows an interface by its name, but on Windows: `fe80::2%6` becomes `fe80::2%eth0`. */
export function withZoneName(address: string, interfaces: () => Interfaces = networkInterfaces): string {
  const [bare, zone = ''] = address.split('%')
  if (!/^\d{1,9}$/.test(zone) || process.platform === 'win32') return address
  for (const [name, entries] of Object.entries(interfaces()))
    if (entries?.some((entry) => entry.family === 'IPv6' && entry.scopeid === Number(zone)))
      return `${bare}%${name}`
  return address
}

/** A link that goes is back within seconds at the earliest. */
const lookEveryMs = 1000

/**
 * Looks after the link of a link-local listen. Sockets are bound to its number, and an interface that is made anew (a
 * VPN, PPPoE, USB) has another: they would wait for ever, and be called open.
 * @param address listened on by now
 * @param onOther called once, when the name is another link's; not while the interface is down or away
 */
export function watchLink(
  address: string | null,
  clock: Clock,
  onOther: (why: Text) => void,
  interfaces: () => Interfaces = networkInterfaces,
): Disposable | null {
  if (address === null || !hasZoneName(address)) return null
  const zone = address.split('%')[1] as string
  const number = (): number | null => {
    const entry = interfaces()[zone]?.find((one) => one.family === 'IPv6' && one.scopeid !== 0)
    return entry?.family === 'IPv6' ? entry.scopeid : null
  }
  let bound = number()
  const watch = clock.every(lookEveryMs, () => {
    const now = number()
    bound ??= now
    if (now === null || now === bound) return
    watch[Symbol.dispose]()
    onOther(say`${zone} was made anew`)
  })
  return watch
}

/** True where the number that the system wants for it may be another at any time. */
export function hasZoneName(address: string): boolean {
  return /%.*\D/.test(address)
}
