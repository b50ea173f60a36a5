/** An error for a person: what, why, and the next step. With `--json` the same as an object, on stderr. */
import { toNaruError, type NaruErrorJson } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import type { Printer } from './printer.ts'

const prefix = say('error:')

export function printError(
  thrown: unknown,
  print: Printer,
  options: { json: boolean; debug: boolean },
): void {
  const error = toNaruError(thrown)
  if (options.json) print.talk(JSON.stringify({ error: error.toJSON() }))
  else printProblem(error.toJSON(), print)
  if (options.debug) print.talk(stackOf(thrown))
}

export function printProblem({ code, message, fix, left }: NaruErrorJson, print: Printer): void {
  const { red, dim } = print.paintTalk
  print.talk(`${red(print.say(prefix))} ${print.say(message)}`)
  if (fix) print.talk(`${dim('→')} ${print.say(fix)}`)
  // It says so itself.
  if (left && code !== 'NOT_UNDONE') printLeft(left, print)
}

/** Of many rules: what stopped several in the same words is told once. The table has the rules. */
export function printProblems(problems: readonly NaruErrorJson[], print: Printer): void {
  const groups = new Map<string, NaruErrorJson[]>()
  for (const problem of problems) {
    // What is left open is each rule's own.
    const key = JSON.stringify([problem.code, problem.message.en, problem.fix?.en, problem.left])
    const group = groups.get(key)
    if (group) group.push(problem)
    else groups.set(key, [problem])
  }
  for (const [first, ...same] of groups.values()) {
    if (first) printProblem(first, print)
    if (same.length > 0) print.talk(say`  the same ${same.length} times more`)
  }
}

function printLeft(left: readonly Text[], print: Printer): void {
  const { red } = print.paintTalk
  for (const one of left) print.talk(`${red('✗')} ${print.say(still)}: ${print.say(one)}`)
  print.talk(`${print.paintTalk.dim('→')} ${print.say(next)}`)
}

const still = say('still in force')
const next = say('the next start of any Naru undoes it')

function stackOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const cause = thrown.cause === undefined ? '' : `\ncaused by: ${stackOf(thrown.cause)}`
  return `${thrown.stack ?? thrown.message}${cause}`
}
