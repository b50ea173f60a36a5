/** IPv6 zones as Node takes them. */
import { networkInterfaces } from 'node:os'

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
