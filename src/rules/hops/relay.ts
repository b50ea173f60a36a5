/** The relay hop: which engine carries the rule, and how it is opened, edited and ended. */
import { isNaruError, NaruError } from '../../base/errors.ts'
import { startWithRights, withRight } from '../../base/privilege.ts'
import { listed, say, type Text } from '../../base/text.ts'
import type { Engine, EngineEvent, EngineLease, Resolve } from '../../engines/contract.ts'
import { mayAdministerNetwork, type Facts } from '../../model/facts.ts'
import type { Hop, Lease } from '../../model/hop.ts'
import { formatListen } from '../../model/listen.ts'
import type { Inheritance } from '../../model/handover-sockets.ts'
import type { EngineId, Rule } from '../../model/rule.ts'
import type { Support } from '../../model/support.ts'
import { formatTarget } from '../../model/target.ts'
import { forwardFor } from './guest.ts'
import { keyOf, type DesiredHop } from './desired.ts'

export interface RelayTools {
  readonly engines: readonly Engine[]
  readonly facts: Facts
  readonly resolve: Resolve
  readonly onEvent: (event: EngineEvent) => void
  /** Engines that failed for this rule, or turned out to be unfit, and why; `auto` passes over them. */
  readonly failed: ReadonlyMap<EngineId, Text>
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | null
}

export async function desireRelay(rule: Rule, tools: RelayTools): Promise<DesiredHop> {
  const { engine, why, brief = why } = await chooseEngine(rule, tools)
  const listen = formatListen(rule.listen)
  const targets = rule.targets.map(({ to }) => formatTarget(to)).join(', ')
  return {
    hop: 'relay',
    member: engine?.id ?? null,
    what: say`carry ${listen} to ${targets}`,
    why,
    brief,
    needs: needsFor(rule, tools.facts),
    key: keyOf(engine?.id, carried(rule), engine?.keepsEnd ? rule.until : null),
    replace: 'close-first',
    waitsInLine: engine?.opensTogether ?? false,
    listen: rule.listen,
    async open({ inner, signal, record, heritage }) {
      if (!engine) throw noEngine(rule, why, tools)
      const { resolve, onEvent } = tools
      const inherit = heritage ?? tools.inherit
      const request = { rule: dialled(rule, inner), resolve, onEvent, ...(inherit && { inherit }) }
      const { ok, why: no } = engine.supports(request.rule, tools.facts)
      if (!ok) throw new NaruError('ENGINE_UNFIT', { engine: engine.id, name: rule.name, why: no })
      return engine.open(request, { signal, record }).catch((error: unknown) => {
        throw withKnownLimit(error, rule, tools.facts)
      })
    },
    update(lease, inner) {
      if (!isEngineLease(lease) || lease.describe().member !== engine?.id) return false
      const next = dialled(rule, inner)
      return engine.supports(next, tools.facts).ok && lease.update(next)
    },
  }
}

function noEngine(rule: Rule, why: Text, { engines, facts }: RelayTools): NaruError {
  const { engine, name } = rule
  const asked = engines.filter(({ id }) => engine === 'auto' || id === engine)
  const withRights: Facts = {
    ...facts,
    privileged: true,
    capabilities: [...facts.capabilities, 'CAP_NET_ADMIN'],
  }
  const lacksRight = (one: Engine): boolean =>
    !one.supports(rule, facts).ok && one.supports(rule, withRights).ok
  if (!mayAdministerNetwork(facts) && asked.some(lacksRight))
    return new NaruError('ENGINE_NO_RIGHT', { name, why, command: startWithRights() })
  return engine === 'auto'
    ? new NaruError('ENGINE_NONE', { name, why })
    : new NaruError('ENGINE_UNFIT', { engine, name, why })
}

/** Sockets say "not permitted"; which ports need a right, and so whether that is the reason, the machine's facts know. */
function withKnownLimit(error: unknown, { listen }: Rule, { firstUnprivilegedPort }: Facts): unknown {
  if (!isNaruError(error, 'LISTEN_PRIVILEGED') || listen.kind !== 'inet') return error
  const where = error.params['listen'] ?? formatListen(listen)
  if (firstUnprivilegedPort > listen.ports.first)
    return new NaruError(
      'LISTEN_PRIVILEGED',
      { listen: where, first: firstUnprivilegedPort, command: withRight('net_bind_service') },
      { cause: error },
    )
  // The port itself may be bound: it is something else, such as SELinux, that says no.
  const why = say('the system does not permit it')
  return new NaruError('LISTEN_FAILED', { listen: where, why }, { cause: error })
}

export function isEngineLease(lease: Lease): lease is EngineLease {
  return 'drain' in lease
}

/** Only the listen itself is a reason to fail that another engine would share. */
export function isEngineFailure(error: unknown): boolean {
  return !isNaruError(
    error,
    'LISTEN_IN_USE',
    'LISTEN_PRIVILEGED',
    'LISTEN_NO_ADDRESS',
    'LISTEN_FAILED',
    'NAME_NOT_FOUND',
    'ABORTED',
  )
}

interface Choice {
  readonly engine: Engine | null
  readonly why: Text
  readonly brief?: Text
}

/** The first that says yes, with its reason; the noes before it are part of the reason. */
async function chooseEngine(rule: Rule, tools: RelayTools): Promise<Choice> {
  const { engines } = tools
  if (rule.engine !== 'auto') return onlyEngine(rule, tools)
  const noes: Text[] = []
  for (const engine of engines) {
    const failed = tools.failed.get(engine.id)
    const { ok, why } = failed ? { ok: false, why: failed } : await support(engine, rule, tools)
    if (ok) return { engine, why: chosen(why, noes), brief: why }
    noes.push(say`${engine.id}: no, because ${why}`)
  }
  return { engine: null, why: listed(noes, '; ') }
}

/** By the user's word, also where it failed before. */
async function onlyEngine(rule: Rule, tools: RelayTools): Promise<Choice> {
  const engine = tools.engines.find(({ id }) => id === rule.engine)
  if (!engine)
    return {
      engine: null,
      why: say`there is no engine ${rule.engine} here`,
    }
  const { ok, why } = await support(engine, rule, tools)
  return { engine: ok ? engine : null, why }
}

async function support(engine: Engine, rule: Rule, { facts }: RelayTools): Promise<Support> {
  const supported = engine.supports(rule, facts)
  const obstacle = supported.ok ? await engine.obstacle?.(rule) : null
  return obstacle ? { ok: false, why: obstacle } : supported
}

function chosen(why: Text, noes: readonly Text[]): Text {
  return noes.length === 0 ? why : say`${why} (${listed(noes, '; ')})`
}

/** What of a rule an engine carries out; the rest is other hops' business. */
function carried({
  name: _name,
  title: _title,
  description: _description,
  tags: _tags,
  publish: _publish,
  until: _until,
  enabled: _enabled,
  ...rest
}: Rule): object {
  return rest
}

/** Where the guest's hypervisor forwards, the relay dials that forward in the guest's place. */
function dialled(rule: Rule, inner: ReadonlyMap<Hop, Lease>): Rule {
  const targets = rule.targets.map((choice) => {
    const forward = forwardFor(choice.to, inner)
    return forward
      ? { ...choice, to: { kind: 'inet' as const, host: forward.address, ports: forward.ports } }
      : choice
  })
  return { ...rule, targets }
}

function needsFor({ listen }: Rule, facts: Facts): DesiredHop['needs'] {
  if (listen.kind !== 'inet' || listen.ports.first >= facts.firstUnprivilegedPort) return null
  if (facts.privileged || facts.capabilities.includes('CAP_NET_BIND_SERVICE')) return null
  return {
    text: say`ports below ${facts.firstUnprivilegedPort} need a privilege`,
    command: withRight('net_bind_service'),
  }
}
