/** Whether a rule leads to what a browser opens: by the service's own port, never by the one it is reached at. */
import type { Rule, TargetChoice } from './rule.ts'

/** Where a web server is what one finds there (IANA http, https, http-alt; 8443 by custom). */
const schemes: Readonly<Record<number, 'http' | 'https'>> = {
  80: 'http',
  8080: 'http',
  443: 'https',
  8443: 'https',
}

/** Null where it is not known to be web, or where targets differ. @param samplePort of the built-in page */
export function webScheme(
  { listen, targets }: Pick<Rule, 'listen' | 'targets'>,
  samplePort: number | null = null,
): 'http' | 'https' | null {
  if (listen.kind === 'unix' || !listen.protocols.includes('tcp')) return null
  if (listen.ports.first !== listen.ports.last) return null
  const all = targets.map((target) => schemeOf(target, samplePort))
  return all.every((one) => one === all[0]) ? (all[0] ?? null) : null
}

function schemeOf({ to }: TargetChoice, samplePort: number | null): 'http' | 'https' | null {
  if (to.kind === 'unix') return null
  if (to.kind === 'inet' && to.host === '127.0.0.1' && to.ports.first === samplePort) return 'http'
  return schemes[to.ports.first] ?? null
}
