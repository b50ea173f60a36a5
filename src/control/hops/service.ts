/** The service hop: before anything is exposed, somebody must be there. Nothing is held; looking again is the lease. */
import { toNaruError, NaruError } from '../../base/errors.ts'
import { withLimit } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import type { Resolve } from '../../engines/contract.ts'
import type { GuestLease } from '../../guests/contract.ts'
import type { Hop, Lease, Verdict } from '../../model/hop.ts'
import type { Rule } from '../../model/rule.ts'
import { formatTarget, type Target } from '../../model/target.ts'
import type { Parts } from '../parts.ts'
import { keyOf, type Wanted } from './wanted.ts'

/** A service in a VM may take a while to accept; a person waits no longer than this. */
const limitMs = 3000

/** Null for UDP and Unix targets, of which nobody can tell by asking. */
export function wantService(rule: Rule, tools: { probe: Parts['probe']; resolve: Resolve }): Wanted | null {
  const asked = rule.targets.map(({ to }) => to).filter((to) => to.kind !== 'unix')
  if (asked.length === 0 || rule.listen.kind !== 'inet' || !rule.listen.protocols.includes('tcp')) return null
  const names = asked.map(formatTarget).join(', ')
  return {
    hop: 'service',
    member: 'probe',
    what: say(`see that ${names} answers`, `${names} 응답 확인`),
    why: say(
      'nothing is exposed before the service answers',
      '서비스가 응답하기 전에는 외부에 열지 않습니다',
    ),
    needs: null,
    key: keyOf(asked),
    replace: 'open-first',
    async open({ inner, signal }) {
      const ask = (asking: AbortSignal): Promise<void> => firstThatAnswers(asked, inner, tools, asking)
      await ask(signal)
      return serviceLease(names, ask)
    },
  }
}

async function firstThatAnswers(
  targets: readonly Target[],
  inner: ReadonlyMap<Hop, Lease>,
  { probe, resolve }: { probe: Parts['probe']; resolve: Resolve },
  signal: AbortSignal,
): Promise<void> {
  const limited = withLimit(signal, limitMs)
  try {
    await Promise.any(
      targets.map(async (target) => {
        for (const endpoint of await endpointsOf(target, inner, resolve, limited)) {
          await probe(endpoint, { signal: limited })
          return
        }
      }),
    )
  } catch (error) {
    const first: unknown = error instanceof AggregateError ? error.errors[0] : error
    throw new NaruError(
      'SERVICE_SILENT',
      { target: targets.map(formatTarget).join(', '), why: toNaruError(first).text },
      { cause: first },
    )
  }
}

async function endpointsOf(
  target: Target,
  inner: ReadonlyMap<Hop, Lease>,
  resolve: Resolve,
  signal: AbortSignal,
): Promise<{ host: string; port: number }[]> {
  const guest = inner.get('guest')
  if (target.kind === 'guest' && guest && 'host' in guest) {
    const { address, ports } = (guest as GuestLease).host
    return [{ host: address, port: ports.first }]
  }
  if (target.kind === 'unix') return []
  if (target.kind === 'inet') return [{ host: target.host, port: target.ports.first }]
  const { addresses } = await resolve(target, { signal })
  return addresses.map((host) => ({ host, port: target.ports.first }))
}

function serviceLease(names: string, ask: (signal: AbortSignal) => Promise<void>): Lease {
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
      text: say(`${names} answers`, `${names} 응답함`),
      differs: [],
      data: { target: names },
    }),
    verify: ({ signal }) => look(signal),
    renew: ({ signal }) => ask(signal),
    release: () => Promise.resolve(),
  }
}
