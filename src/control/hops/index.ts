/** Every hop that a rule wants, each with who would do it and why. */
import { toNaruError, type NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { EngineEvent } from '../../engines/contract.ts'
import type { Facts } from '../../model/facts.ts'
import type { Hop } from '../../model/hop.ts'
import type { Inheritance } from '../../model/passing.ts'
import type { EngineId, Rule } from '../../model/rule.ts'
import type { Parts } from '../parts.ts'
import { wantFirewall } from './firewall.ts'
import { publisherOf } from '../routers/publisher.ts'
import { resolveGuests, wantGuest } from './guest.ts'
import { wantRelay } from './relay.ts'
import { wantRouter } from './router.ts'
import { wantService } from './service.ts'
import { keyOf, type Wanted } from './wanted.ts'

export interface WantTools {
  readonly parts: Parts
  readonly facts: Facts
  readonly failedEngines: ReadonlySet<EngineId>
  readonly onEngineEvent: (event: EngineEvent) => void
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | null
  readonly signal: AbortSignal
}

export async function wantsOf(
  rule: Rule,
  { parts, facts, failedEngines, onEngineEvent, inherit, signal }: WantTools,
): Promise<readonly Wanted[]> {
  const resolve = resolveGuests(parts, parts.resolveName)
  const published = rule.publish.firewall !== 'off' || rule.publish.router !== 'off'
  const [guest, firewall, router] = await Promise.all([
    orFailing('guest', () => wantGuest(rule, parts, signal)),
    orFailing('firewall', () => wantFirewall(rule, parts, signal)),
    orFailing('router', () => wantRouter(rule, publisherOf(parts), signal)),
  ])
  const service = published ? wantService(rule, { probe: parts.probe, resolve }) : null
  const relay = wantRelay(rule, {
    engines: parts.engines,
    facts,
    resolve,
    onEvent: onEngineEvent,
    failed: failedEngines,
    inherit: inherit ?? null,
  })
  return [guest, service, relay, firewall, router].filter((want) => want !== null)
}

/** A hop of which not even the plan can be made is planned as one that fails, with its reason. */
async function orFailing(hop: Hop, want: () => Promise<Wanted | null>): Promise<Wanted | null> {
  try {
    return await want()
  } catch (error) {
    return failing(hop, toNaruError(error))
  }
}

function failing(hop: Hop, error: NaruError): Wanted {
  return {
    hop,
    member: null,
    what: say('cannot be done', '할 수 없음'),
    why: error.text,
    needs: null,
    key: keyOf('failing', error.code, error.message),
    replace: 'open-first',
    open: () => Promise.reject(error),
  }
}
