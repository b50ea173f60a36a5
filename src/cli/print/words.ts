/** The words of the field in both languages, for tables and lines. */
import { say, sayOf, type Text } from '../../base/text.ts'
import type { HopStatus, RuleStatus } from '../../model/naru-api.ts'
import type { Hop } from '../../model/hop.ts'
import { shownState, type ShownState } from '../../model/shown-state.ts'
import type { Paints, Printer } from './printer.ts'

export const hopWords: Readonly<Record<Hop, Text>> = {
  router: say('router'),
  firewall: say('firewall'),
  relay: say('relay'),
  guest: say('guest'),
  service: say('service'),
}

export const stateWords: Readonly<Record<ShownState, Text>> = {
  stopped: sayOf('rule')('stopped'),
  open: say('open'),
  untried: say('target untried'),
  silent: say('target silent'),
  opening: say('opening'),
  degraded: say('degraded'),
  failed: say('failed'),
  disabled: say('disabled'),
  draining: say('draining'),
  expired: say('expired'),
}

const marks: Readonly<Record<HopStatus['state'], string>> = {
  ok: '✓',
  opening: '…',
  warning: '!',
  broken: '✗',
  off: '·',
}

/** Outside in, as the path is drawn. */
const pathOrder: readonly Hop[] = ['router', 'firewall', 'relay', 'guest', 'service']

/** `router ✓ → relay ✓ → service ✗`, without the hops that are not used. */
export function hopStrip(rule: RuleStatus, print: Printer, paints: Paints): string {
  return inPathOrder(rule)
    .filter(({ state }) => state !== 'off')
    .map((hop) => paintOf(hop.state, paints)(`${print.say(hopWords[hop.hop])} ${marks[hop.state]}`))
    .join(' → ')
}

export function inPathOrder({ hops }: RuleStatus): readonly HopStatus[] {
  return [...hops].sort((a, b) => pathOrder.indexOf(a.hop) - pathOrder.indexOf(b.hop))
}

export function mark(state: HopStatus['state'], paints: Paints): string {
  return paintOf(state, paints)(marks[state])
}

export function stateWord(rule: RuleStatus, print: Printer, paints: Paints): string {
  const state = shownState(rule)
  return statePaint(state, paints)(print.say(stateWords[state]))
}

function statePaint(state: ShownState, paints: Paints): (text: string) => string {
  if (state === 'open') return paints.green
  if (state === 'failed' || state === 'silent') return paints.red
  return state === 'disabled' || state === 'stopped' ? paints.dim : paints.yellow
}

function paintOf(state: HopStatus['state'], paints: Paints): (text: string) => string {
  if (state === 'ok') return paints.green
  if (state === 'broken') return paints.red
  return state === 'off' ? paints.dim : paints.yellow
}
