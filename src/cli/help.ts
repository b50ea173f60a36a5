/** `naru --help` and `naru VERB --help`, made from the definitions. */
import { say, type Text } from '../base/text.ts'
import type { Printer } from './print/printer.ts'
import { padded, widthOf } from './print/width.ts'
import type { Argument, VerbOption, Verb } from './verb.ts'

const words = {
  usage: say('Usage'),
  commands: say('Commands'),
  arguments: say('Arguments'),
  options: say('Options'),
  everywhere: say('Everywhere'),
  examples: say('Examples'),
  json: say('With --json'),
  choices: say('one of'),
  more: say('`naru COMMAND --help` says more about a command.'),
  tagline: say(
    'One command publishes a service through every hop between an outside client and the service.',
  ),
}

export function overview(verbs: readonly Verb[], global: readonly VerbOption[], print: Printer): string {
  const { bold } = print.paint
  const shown = verbs.filter(({ hidden }) => !hidden)
  return [
    print.say(words.tagline),
    '',
    `${bold(print.say(words.usage))}: naru COMMAND …`,
    '',
    bold(print.say(words.commands)),
    ...pairs(shown.map(({ name, summary }) => [name, print.say(summary)])),
    '',
    bold(print.say(words.everywhere)),
    ...pairs(global.map((option) => [optionUsage(option), print.say(option.text)])),
    '',
    print.say(words.more),
  ].join('\n')
}

export function helpOf(verb: Verb, command: string, global: readonly VerbOption[], print: Printer): string {
  const { bold } = print.paint
  const section = (title: Text, rows: readonly (readonly [string, string])[]): string[] =>
    rows.length === 0 ? [] : ['', bold(print.say(title)), ...pairs(rows)]
  const { about, examples = [], verbs = [], options = [] } = verb
  return [
    print.say(verb.summary),
    ...(about ? ['', print.say(about)] : []),
    '',
    `${bold(print.say(words.usage))}: ${usageLine(verb, command)}`,
    ...section(
      words.commands,
      verbs.map((one) => [one.name, print.say(one.summary)]),
    ),
    ...section(
      words.arguments,
      (verb.arguments ?? []).map((one) => [one.name, print.say(one.text)]),
    ),
    ...section(
      words.options,
      options.map((one) => [optionUsage(one), optionText(one, print)]),
    ),
    ...section(
      words.everywhere,
      global.map((one) => [optionUsage(one), print.say(one.text)]),
    ),
    ...section(
      words.examples,
      examples.map((one) => [one.command, print.say(one.text)]),
    ),
    ...(verb.json ? ['', bold(print.say(words.json)), `  ${print.say(verb.json)}`] : []),
  ].join('\n')
}

export function usageLine(verb: Verb, command: string): string {
  const parts = [command]
  if (verb.verbs) parts.push(verb.run ? '[COMMAND]' : 'COMMAND')
  parts.push(...(verb.arguments ?? []).map(argumentUsage))
  if (verb.options?.length) parts.push('[OPTIONS]')
  return parts.join(' ')
}

function argumentUsage({ name, optional, many }: Argument): string {
  const whole = many ? `${name}…` : name
  return optional ? `[${whole}]` : whole
}

export function optionUsage({ name, short, value, bare, many }: VerbOption): string {
  const shorter = short ? `-${short}, ` : ''
  const rest = value === undefined ? '' : bare === undefined ? ` ${value}` : `[=${value}]`
  return `${shorter}--${name}${rest}${many ? '…' : ''}`
}

export function optionText({ text, choices }: VerbOption, print: Pick<Printer, 'say'>): string {
  return choices ? `${print.say(text)} (${choices.join(' | ')})` : print.say(text)
}

function pairs(rows: readonly (readonly [string, string])[]): string[] {
  const narrow = rows.map(([left]) => widthOf(left)).filter((width) => width <= 34)
  const width = Math.max(0, ...narrow)
  return rows.flatMap(([left, right]) =>
    widthOf(left) > 34
      ? [`  ${left}`, `  ${' '.repeat(width)}  ${right}`]
      : [`  ${padded(left, width)}  ${right}`],
  )
}
