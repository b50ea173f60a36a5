/** The service hop: before anything is exposed, somebody must be there. Nothing is held; looking again is the lease. */
import { addressRange, canonicalAddress } from '../../base/address.ts'
import { isNaruError, toNaruError, NaruError } from '../../base/errors.ts'
import { withLimit } from '../../base/clock.ts'
import { say, type Text } from '../../base/text.ts'
import type { Resolve } from '../../engines/contract.ts'
import type { Hop, Lease, Verdict } from '../../model/hop.ts'
import type { Rule } from '../../model/rule.ts'
import { formatTarget, type Target } from '../../model/target.ts'
import type { Deps } from '../../instance/deps.ts'
import { forwardFor } from './guest.ts'
import { keyOf, type DesiredHop } from './desired.ts'

/** A service in a VM may take a while to accept; a person waits no longer than this. */
const limitMs = 3000
/**
 * A hypervisor's forward accepts before the guest does: how long it has to hang up for a guest that refuses. QEMU 7.2
 * took 1 to 5 ms, also on a busy machine.
 */
const stayMs = 250

/** Null for UDP and Unix targets, of which nobody can tell by asking. */
export function desireService(
  rule: Rule,
  tools: { probe: Deps['probe']; resolve: Resolve },
): DesiredHop | null {
  const asked = rule.targets.map(({ to }) => to).filter((to) => to.kind !== 'unix')
  if (asked.length === 0 || rule.listen.kind !== 'inet' || !rule.listen.protocols.includes('tcp')) return null
  const names = asked.map(formatTarget).join(', ')
  return {
    hop: 'service',
    member: 'probe',
    what: say`see that ${names} answers`,
    why: say('nothing is exposed before the service answers'),
    needs: null,
    key: keyOf(asked),
    replace: 'open-first',
    async open({ inner, signal }) {
      const ask = (asking: AbortSignal): Promise<void> => firstThatAnswers(asked, inner, tools, asking)
      await ask(signal)
      const guest = inner.get('guest')
      return serviceLease(asked, guest ? guest.describe().member : null, ask)
    },
  }
}

async function firstThatAnswers(
  targets: readonly Target[],
  inner: ReadonlyMap<Hop, Lease>,
  { probe, resolve }: { probe: Deps['probe']; resolve: Resolve },
  signal: AbortSignal,
): Promise<void> {
  const limited = withLimit(signal, limitMs)
  try {
    await Promise.any(
      targets.map(async (target) => {
        const forward = forwardFor(target, inner)
        if (forward) {
          const { address: host, ports } = forward
          return probe({ host, port: ports.first }, { signal: limited, stayMs })
        }
        const [endpoint] = await endpointsOf(target, resolve, limited)
        if (endpoint) await probe(endpoint, { signal: limited })
      }),
    )
  } catch (error) {
    const first: unknown = error instanceof AggregateError ? error.errors[0] : error
    const target = targets.map(formatTarget).join(', ')
    const look = targets.some(isHere) ? atPorts : thence
    throw new NaruError('SERVICE_SILENT', { target, why: whyOf(first, target), look }, { cause: first })
  }
}

/** The sockets of another machine are not in this one's table. */
const isHere = (target: Target): boolean =>
  target.kind === 'inet' &&
  (target.host === 'localhost' ||
    (canonicalAddress(target.host) !== null && addressRange(target.host) === 'loopback'))
const atPorts = say('look which port it listens on with `naru ports`')
const thence = say(
  'see on its own machine that it listens on that port for others, and that no firewall there drops them',
)

/** Whose address the sentence has already is not told again. */
function whyOf(error: unknown, target: string): Text {
  const { text, params } = toNaruError(error)
  const isSame = isNaruError(error, 'TARGET_SILENT') && params['target'] === target
  return isSame ? (params['why'] as Text) : text
}

async function endpointsOf(
  target: Target,
  resolve: Resolve,
  signal: AbortSignal,
): Promise<{ host: string; port: number }[]> {
  if (target.kind === 'unix') return []
  if (target.kind === 'inet') return [{ host: target.host, port: target.ports.first }]
  const { addresses } = await resolve(target, { signal })
  return addresses.map((host) => ({ host, port: target.ports.first }))
}

/** @param through the hypervisor whose forward was asked: of a guest that takes no connections it tells nothing. */
function serviceLease(
  asked: readonly Target[],
  through: string | null,
  ask: (signal: AbortSignal) => Promise<void>,
): Lease {
  const names = asked.map(formatTarget).join(', ')
  const look = async (signal: AbortSignal): Promise<Verdict> => {
    try {
      await ask(signal)
      return { state: 'held', notes: [] }
    } catch (error) {
      return { state: 'lost', why: toNaruError(error) }
    }
  }
  return {
    goodUntil: null,
    renewAfter: null,
    describe: () => ({
      member: 'probe',
      text:
        through === null
          ? say`${names} answers`
          : say`${names} answers, as far as ${through} tells: its forward accepts before the guest does, and only a refusal shows`,
      differs: [],
      data: { target: names },
    }),
    verify: ({ signal }) => look(signal),
    renew: ({ signal }) => ask(signal),
    release: () => Promise.resolve(),
  }
}
