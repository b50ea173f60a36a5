/** Whether a rule makes sense: what is right key by key and not together, and what a person should know all the same. */
import { addressRange, canonicalAddress, formatCidr, isLoopbackName, type Cidr } from '../base/address.ts'
import { isWellKnown, portCount } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'
import type { Listen } from './listen.ts'
import { noteOn, type PlanNote } from './plan.ts'
import type { Rule } from './rule.ts'
import type { Problem } from './schema.ts'
import type { Target } from './target.ts'

/** What is right alone but not together. */
export function contradictions(rule: Rule): Problem[] {
  const found: Problem[] = []
  const at = (path: Problem['path'], text: Text): void => void found.push({ path, text })
  rule.targets.forEach(({ to }, index) => {
    const path = rule.targets.length > 1 ? ['targets', index] : ['target']
    if (rule.listen.kind === 'inet' && to.kind !== 'unix') {
      const [listening, wanted] = [portCount(rule.listen.ports), portCount(to.ports)]
      if (wanted !== 1 && wanted !== listening) {
        at(path, say`a range of ${wanted} ports cannot take ${listening}: use as many, or one`)
      }
    }
    if (to.kind === 'unix' && rule.listen.kind === 'inet' && rule.listen.protocols.includes('udp')) {
      at(path, say('UDP cannot go to a Unix socket'))
    }
    if (loops(rule.listen, to))
      at(
        path,
        say(
          'the rule would forward to itself; a service on this machine needs another port than the one that is listened on',
        ),
      )
  })
  found.push(...addressesOfMany(rule))
  if (takesUdp(rule.listen) && rule.acceptProxy.some(isAnybody)) {
    at(
      ['acceptProxy'],
      say('on UDP this would let anybody say who the client is: list the proxies, 10.0.0.0/8 at the widest'),
    )
  }
  if (rule.listen.kind === 'unix' && (rule.publish.firewall !== 'off' || rule.publish.router !== 'off')) {
    at(['publish'], say('a Unix socket cannot be published'))
  }
  if (typeof rule.publish.externalPort === 'number' && rule.listen.kind === 'inet') {
    const span = portCount(rule.listen.ports)
    if (rule.publish.externalPort + span - 1 > 65_535) {
      at(['publish', 'externalPort'], say`${span} ports do not fit above it`)
    }
  }
  return found
}

function addressesOfMany({ listen, targets }: Rule): Problem[] {
  const found = targets.flatMap(({ to }, index): Problem[] => {
    if (to.kind !== 'inet' || !isForMany(to.host) || !takesTcp(listen)) return []
    const text = say('TCP goes to one host, and this is an address of many')
    return [{ path: targets.length > 1 ? ['targets', index] : ['target'], text }]
  })
  if (listen.kind !== 'inet' || !isForMany(listen.address ?? '')) return found
  const text = say(
    'what is sent to a group reaches only who has joined it, and Naru joins none: listen on an address of this machine',
  )
  return [...found, { path: ['listen'], text }]
}

function takesTcp(listen: Listen): boolean {
  return listen.kind === 'unix' || listen.protocols.includes('tcp')
}

/** A multicast group, or everybody on the link. */
function isForMany(host: string): boolean {
  const address = canonicalAddress(host)
  return address !== null && ['multicast', 'broadcast'].includes(addressRange(address))
}

function takesUdp(listen: Listen): boolean {
  return listen.kind === 'inet' && listen.protocols.includes('udp')
}

/** Wider than any network of one's own: 10.0.0.0/8 (RFC 1918), fc00::/7 (RFC 4193). */
function isAnybody({ family, bits }: Cidr): boolean {
  return bits < (family === 4 ? 8 : 7)
}

/** Would what arrives at `listen` be sent to `listen` again? Names are only known when dialled; the relay looks again then. */
function loops(listen: Listen, to: Target): boolean {
  if (listen.kind === 'unix' || to.kind === 'unix')
    return listen.kind === 'unix' && to.kind === 'unix' && listen.path === to.path
  if (to.kind === 'guest') return false
  const here = to.host === listen.address || (isThisMachine(to.host) && isHere(listen.address, to.host))
  const offset = portCount(to.ports) === 1 ? null : to.ports.first - listen.ports.first
  const meets =
    offset === null
      ? to.ports.first >= listen.ports.first && to.ports.first <= listen.ports.last
      : offset === 0
  return here && meets
}

const anywhere: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** Loopback, and the unspecified address, which whoever dials it takes for loopback (connect(2)). */
function isThisMachine(host: string): boolean {
  return /^(127\.|::1$)/.test(host) || isLoopbackName(host) || anywhere.has(host)
}

/** `localhost` is both families. */
function isHere(listening: string | null, host: string): boolean {
  const named = isLoopbackName(host)
  const [four, six] = named ? [true, true] : [!host.includes(':'), host.includes(':')]
  if (listening === null) return true
  if (listening === '0.0.0.0') return four
  if (listening === '::') return six
  if (!named && !anywhere.has(host)) return false
  return (four && listening === '127.0.0.1') || (six && listening === '::1')
}

/** Remarks that stop nothing (law 8). */
export function ruleNotes(rule: Rule): PlanNote[] {
  return [noteOfWellKnown(rule), noteOfMadeUpProxy(rule)].filter((note) => note !== null)
}

function noteOfWellKnown(rule: Rule): PlanNote | null {
  if (rule.publish.router === 'off' || rule.listen.kind !== 'inet') return null
  const port = rule.publish.externalPort ?? rule.listen.ports.first
  if (typeof port !== 'number' || !isWellKnown({ first: port, last: port })) return null
  const what = say`port ${port} is a well-known port (0–1023) and will be scanned by strangers; a high one such as ${port + 8000} draws less: publish: { externalPort: ${port + 8000} }`
  return noteOn(rule.name, what)
}

/** From outside nobody reaches a loopback listen in the name of a loopback address (martian, RFC 1812 §5.3.7). */
function noteOfMadeUpProxy({ name, listen, acceptProxy }: Rule): PlanNote | null {
  if (acceptProxy.length === 0 || listen.kind !== 'inet' || !takesUdp(listen)) return null
  if (listen.address !== null && addressRange(listen.address) === 'loopback') return null
  const from = acceptProxy.map(formatCidr).join(', ')
  const what = say`whoever can send UDP in the name of ${from} says who the client is, past allow, deny and limits: listen only where the proxies alone reach it (an address of their network, a tunnel, 127.0.0.1), or let the firewall hold that source to its interface`
  return noteOn(name, what)
}
