/** A plan as ordered lines: what, by whom, why, and what to type where a right is missing. */
import { say, sayOf, type Text } from '../../base/text.ts'
import type { Plan, PlanStep } from '../../model/plan.ts'
import type { Context } from '../verb.ts'
import { noteLines } from './notes.ts'
import type { Printer } from './printer.ts'
import { hopWords } from './words.ts'

const actions: Readonly<Record<PlanStep['action'], Text>> = {
  open: sayOf('to do')('open'),
  update: say('update'),
  keep: say('keep'),
  close: say('close'),
}

const signs: Readonly<Record<PlanStep['action'], string>> = { open: '+', update: '~', keep: '=', close: '-' }

export function printPlan(plan: Plan, { print, json }: Pick<Context, 'print' | 'json'>): void {
  if (json) return print.json(plan)
  for (const line of planLines(plan, print)) print.data(line)
}

export function planLines({ steps, notes }: Plan, print: Printer): string[] {
  const lines: string[] = []
  let rule: string | null = null
  for (const step of steps) {
    if (step.rule !== rule) lines.push(print.paint.bold(step.rule))
    rule = step.rule
    lines.push(...stepLines(step, print))
  }
  if (steps.length === 0) lines.push(print.say(say('Nothing to do.')))
  lines.push(...noteLines(notes, print.paint.yellow('!'), print))
  return lines
}

function stepLines({ action, hop, member, what, why, needs }: PlanStep, print: Printer): string[] {
  const { dim, green, red, yellow } = print.paint
  const paint = { open: green, update: yellow, keep: dim, close: red }[action]
  const nobody = member === null && action !== 'close'
  const sign = nobody ? red('✗') : paint(`${signs[action]} ${print.say(actions[action])}`)
  const by = member === null ? '' : ` [${member}]`
  const lines = [`  ${sign} ${print.say(hopWords[hop])}${by}: ${print.say(what)}`]
  if (print.say(why) !== '') lines.push(dim(`      ${print.say(why)}`))
  if (needs) lines.push(`      ${yellow(print.say(needs.text))}: ${needs.command}`)
  return lines
}
