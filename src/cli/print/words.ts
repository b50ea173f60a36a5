/** The words of the field in both languages, for tables and lines. */
import { say, type Text } from '../../base/text.ts'
import type { HopStatus, RuleStatus } from '../../model/naru-api.ts'
import type { Hop } from '../../model/hop.ts'
import { shownState, type ShownState } from '../../model/shown-state.ts'
import type { Paints, Printer } from './printer.ts'

export const hopWords: Readonly<Record<Hop, Text>> = {
  router: say('router', '공유기'),
  firewall: say('firewall', '방화벽'),
  relay: say('relay', '중계'),
  guest: say('guest', '게스트'),
  service: say('service', '서비스'),
}

export const stateWords: Readonly<Record<ShownState, Text>> = {
  stopped: say('stopped', '중지'),
  open: say('open', '열림'),
  untried: say('target untried', '대상 확인 전'),
  silent: say('target silent', '대상 응답 없음'),
  opening: say('opening', '여는 중'),
  degraded: say('degraded', '일부 장애'),
  failed: say('failed', '실패'),
  disabled: say('disabled', '꺼짐'),
  draining: say('draining', '정리 중'),
  expired: say('expired', '만료'),
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
