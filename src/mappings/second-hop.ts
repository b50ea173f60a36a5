/**
 * What is above a router whose own address is not public: the next hop's address by a ping that dies there, or the
 * addresses that home routers have. Only private addresses are ever asked, never the internet.
 */
import { addressRange, canonicalAddress } from '../base/address.ts'
import { withLimit } from '../base/clock.ts'
import type { Host } from '../host/contract.ts'

/** A documentation address (RFC 5737) that nobody has; with two hops to live, the packet ends at the second router. */
const nowhere = '192.0.2.1'

/** Whatever the system has, the quickest first: each sends one packet that dies at the second router. */
const probes: Partial<Record<NodeJS.Platform, readonly (readonly [string, ...string[]])[]>> = {
  linux: [
    ['ping', '-n', '-c', '1', '-W', '1', '-t', '2', nowhere],
    ['traceroute', '-n', '-f', '2', '-m', '2', '-q', '1', '-w', '1', nowhere],
    ['busybox', 'traceroute', '-n', '-f', '2', '-m', '2', '-q', '1', '-w', '1', nowhere],
  ],
  darwin: [['ping', '-n', '-c', '1', '-W', '1000', '-m', '2', nowhere]],
  win32: [['ping', '-n', '1', '-w', '1000', '-i', '2', nowhere]],
}

/** Where makers put their routers, when nothing tells more. */
const usualAddresses = [
  '192.168.0.1',
  '192.168.1.1',
  '192.168.1.254',
  '10.0.0.1',
  '172.30.1.254',
  '192.168.219.1',
]

/** The second hop's address; null where the system cannot tell. Ends within 5 s. */
export async function secondHop(host: Host, signal: AbortSignal): Promise<string | null> {
  const limited = withLimit(signal, 5000)
  for (const argv of probes[(await host.facts()).platform] ?? []) {
    const said = await host.runner
      .run(argv, { signal: limited, limitMs: 2500 })
      .then(({ stdout }) => stdout)
      .catch(() => '')
    signal.throwIfAborted()
    const hop = hopIn(said)
    if (hop !== null) return hop
  }
  return null
}

/** Both print the destination first, in whatever language; the other address is who answered. */
export function hopIn(said: string): string | null {
  const seen = said.match(/\d{1,3}(?:\.\d{1,3}){3}/g) ?? []
  return seen.find((address) => address !== nowhere && canonicalAddress(address) !== null) ?? null
}

/** Private addresses that the outer router may have, likeliest first, never the inner router's own or its LAN's. */
export function outerCandidates(
  hop: string | null,
  innerWan: string | null,
  inner: string,
): readonly string[] {
  const guesses = innerWan === null ? usualAddresses : neighboursOf(innerWan)
  const all = [...(hop === null ? [] : [hop]), ...guesses]
  const fits = (address: string): boolean =>
    addressRange(address) === 'private' && address !== innerWan && net(address) !== net(inner)
  return [...new Set(all)].filter(fits).slice(0, 6)
}

function neighboursOf(address: string): readonly string[] {
  return ['1', '254'].map((last) => `${net(address)}.${last}`)
}

function net(address: string): string {
  return address.split('.').slice(0, 3).join('.')
}
