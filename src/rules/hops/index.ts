/** Every hop that a rule wants, each with who would do it and why. */
import { isNaruError, toNaruError, type NaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import type { EngineEvent } from '../../engines/contract.ts'
import type { Facts } from '../../model/facts.ts'
import type { Hop } from '../../model/hop.ts'
import type { Inheritance } from '../../model/handover-sockets.ts'
import type { EngineId, Rule } from '../../model/rule.ts'
import type { Deps } from '../../instance/deps.ts'
import { desireFirewall } from './firewall.ts'
import { publisherOf } from '../../mappings/publisher.ts'
import { resolveGuests, desireGuest } from './guest.ts'
import { desireRelay } from './relay.ts'
import { desireRouter } from './router.ts'
import { desireService } from './service.ts'
import { keyOf, type DesiredHop } from './desired.ts'

export interface DesireTools {
  readonly parts: Deps
  readonly facts: Facts
  readonly failedEngines: ReadonlyMap<EngineId, Text>
  readonly onEngineEvent: (event: EngineEvent) => void
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | null
  /** What the machine told since then is news enough; of `performance.now()`. @default now */
  readonly asked?: number | undefined
  readonly signal: AbortSignal
}

export async function desiredHops(
  rule: Rule,
  { parts, facts, failedEngines, onEngineEvent, inherit, signal, asked }: DesireTools,
): Promise<readonly DesiredHop[]> {
  const resolve = resolveGuests(parts, parts.resolveName)
  const published = rule.publish.firewall !== 'off' || rule.publish.router !== 'off'
  const relayTools = {
    engines: parts.engines,
    facts,
    resolve,
    onEvent: onEngineEvent,
    failed: failedEngines,
    inherit: inherit ?? null,
  }
  const [relay, guest, firewall, router] = await Promise.all([
    desireRelay(rule, relayTools),
    orFailing('guest', () => desireGuest(rule, parts, signal)),
    orFailing('firewall', () => desireFirewall(rule, parts, { signal, asked })),
    orFailing('router', () => desireRouter(rule, publisherOf(parts), signal)),
  ])
  const service = published ? desireService(rule, { probe: parts.probe, resolve }) : null
  return [guest, service, relay, firewall, router].filter((want) => want !== null)
}

/** A hop of which not even the plan can be made is planned as one that fails, with its reason. */
async function orFailing(hop: Hop, want: () => Promise<DesiredHop | null>): Promise<DesiredHop | null> {
  try {
    return await want()
  } catch (error) {
    return failing(hop, toNaruError(error))
  }
}

function failing(hop: Hop, error: NaruError): DesiredHop {
  const { text, fix } = error
  return {
    hop,
    member: null,
    what: say('cannot be done'),
    why: fix ? say`${text}; ${fix}` : text,
    needs: rightFor(error),
    key: keyOf('failing', error.code, error.message),
    replace: 'open-first',
    open: () => Promise.reject(error),
  }
}

/** What a person with the right would type. */
function rightFor(error: NaruError): DesiredHop['needs'] {
  if (!isNaruError(error, 'NOT_PERMITTED')) return null
  const { command } = error.params
  return {
    text: say('this needs a right'),
    command: typeof command === 'object' ? command.en : String(command),
  }
}
