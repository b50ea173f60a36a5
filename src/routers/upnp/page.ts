/** The router's own page, for a person to open; only ever on the router itself. */
import { familyOf } from '../../base/address.ts'

/**
 * @param said presentationURL, whole or relative. @param location where the description was.
 * @returns null where it is none, or on another host: nobody shall type a router's password there.
 */
export function pageOf(said: string | null, location: URL, address: string): string | null {
  if (said === null || !URL.canParse(said, location.href)) return null
  const url = new URL(said, location)
  const own = familyOf(address) === 6 ? `[${address.split('%')[0]}]` : address
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return null
  // A router may be wrong about its own address, as in LOCATION.
  if (url.hostname !== own && url.hostname !== location.hostname) return null
  url.hostname = own
  return url.href
}
