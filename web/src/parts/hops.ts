/** A rule's path from the outside in, as the page draws it: every place that there is, open or not. */
import type { HopStatus, RuleStatus } from '../../../src/model/naru-api.ts'
import type { Hop, Json } from '../../../src/model/hop.ts'
import type { IconName } from './icon.tsx'

export type PathState = HopStatus['state'] | 'none' | 'idle' | 'untried'

export interface PathHop {
  readonly hop: Hop
  /** `none`: the rule does not want it. `untried`: not looked at yet. `idle`: there, and nobody can tell by asking. */
  readonly state: PathState
  readonly status: HopStatus | null
}

const outsideIn: readonly Hop[] = ['router', 'firewall', 'relay', 'guest', 'service']

export function pathOf(rule: RuleStatus): readonly PathHop[] {
  return outsideIn.map((hop) => {
    const status = rule.hops.find((one) => one.hop === hop) ?? null
    if (status) return { hop, state: status.state, status }
    const away = rule.state === 'disabled' || rule.state === 'expired' || rule.state === 'stopped'
    if (hop === 'service') return { hop, state: away ? 'none' : askedState(rule), status: null }
    if (hop === 'relay') return { hop, state: rule.state === 'opening' ? 'opening' : 'off', status: null }
    // Nothing outside of a hop that does not work is opened.
    return { hop, state: rule.state === 'failed' && isWanted(rule, hop) ? 'off' : 'none', status: null }
  })
}

/** Of UDP and Unix sockets nobody can tell whether there is an answer. */
function askedState({ service, listen, targets }: RuleStatus): PathState {
  if (service === 'untried') return 'untried'
  const answers = !listen.endsWith('/udp') && targets.some((target) => !target.startsWith('unix:'))
  return answers ? 'ok' : 'idle'
}

function isWanted({ rule: { publish } }: RuleStatus, hop: Hop): boolean {
  if (hop !== 'firewall' && hop !== 'router') return false
  if (publish === true) return true
  if (typeof publish !== 'object' || publish === null || !(hop in publish)) return false
  const by: Json | undefined = (publish as Readonly<Record<string, Json>>)[hop]
  return typeof by === 'string' && by !== 'off'
}

export const stateIcons: Readonly<Record<PathState, IconName>> = {
  ok: 'check',
  opening: 'dots',
  warning: 'warning',
  broken: 'cross',
  off: 'none',
  none: 'none',
  idle: 'none',
  untried: 'eye',
}
