/** What `add`, `edit`, `rm`, `enable` and `disable` have in common: do it, then say what was and was not done. */
import { codes, type Code } from '../base/codes/index.ts'
import type { ExitCode } from '../base/codes/entry.ts'
import { isNaruError, toNaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { ChangeOptions, ChangeResult, Naru, RuleStatus } from '../model/naru-api.ts'
import { roomOf } from './io.ts'
import { addressLines, byHandLines, give } from './print/addresses.ts'
import { printProblem, printProblems } from './print/errors.ts'
import { noteLines } from './print/notes.ts'
import { planLines } from './print/plan.ts'
import { ruleTable } from './print/rules.ts'
import { daemonOrFile, tellFileAlone } from './connect.ts'
import { tellShutOut } from './shut-out.ts'
import type { Context, VerbOption } from './verb.ts'

export const dryRun: VerbOption = {
  name: 'dry-run',
  text: say('show the plan, do nothing'),
}

export const now: VerbOption = {
  name: 'now',
  text: say('cut its connections in place of letting them finish'),
}

export const resultJson = say(
  'ChangeResult: {plan, rules, failures, revision}. Exit code 3 where some hops failed.',
)

/** @param unchanged said where there was nothing to do */
export async function change(
  context: Context,
  name: string,
  done: Text,
  act: (naru: Naru, options: ChangeOptions) => Promise<ChangeResult>,
  unchanged?: Text,
): Promise<ExitCode> {
  const { print, json, io } = context
  const { naru, running } = await daemonOrFile(context)
  const dry = context.switched('dry-run')
  const result = await act(naru, { dryRun: dry }).catch((error: unknown) => {
    if (running && !json && isNaruError(error, ...cannotBe)) print.talk(asBefore(name))
    throw error
  })
  if (json) {
    print.json(result, { line: context.args('NAME').length > 1 })
    return exitOf(result, name)
  }
  if (dry) {
    for (const line of planLines(result.plan, print)) print.data(line)
    return 0
  }
  if (!running) await tellFileAlone(context, naru)
  printProblems(result.failures, print)
  for (const line of noteLines(result.plan.notes, print.paintTalk.yellow('!'), print)) print.talk(line)
  const rule = result.rules.find((one) => one.name === name)
  if (rule) {
    for (const line of addressLines(rule, print)) print.data(line)
    for (const line of ruleTable([rule], print, { now: io.now(), room: roomOf(io.stdout) })) print.data(line)
    for (const line of byHandLines(rule, print)) print.prose(line)
    if (running) await tellShutOut(rule, say`\`naru edit ${name} --firewall\` opens it`, context)
    await give(rule, context)
  }
  const nothing = running && result.plan.steps.every(({ action }) => action === 'keep')
  if (result.failures.length === 0) print.talk(nothing ? (unchanged ?? done) : done)
  else if (running && result.rules.length > 0) print.talk(written)
  return exitOf(result, name)
}

/** Several names, each by itself: what one could not do holds up no other. The first code that is not 0 is the answer. */
export async function changeEach(
  context: Context,
  one: (name: string) => Promise<ExitCode>,
): Promise<ExitCode> {
  const { print, json } = context
  const names = [...new Set(context.args('NAME'))]
  const [only] = names
  if (names.length === 1 && only !== undefined) return one(only)
  let answer: ExitCode = 0
  for (const name of names) {
    const code = await one(name).catch((error: unknown): ExitCode => {
      if (isNaruError(error, 'NOT_RUNNING', 'FILE_MISSING', 'FILE_INVALID', 'FILE_UNREADABLE')) throw error
      const failed = toNaruError(error)
      if (json) print.json({ error: failed.toJSON() }, { line: true })
      else printProblem(failed.toJSON(), print)
      return failed.exitCode
    })
    answer ||= code
  }
  return answer
}

const written = say('The rule is in the file all the same; what failed is tried again until it works.')

/** Why a rule that is carried stays as it is. */
const cannotBe = [
  'LISTEN_IN_USE',
  'LISTEN_PRIVILEGED',
  'LISTEN_NO_ADDRESS',
  'LISTEN_FAILED',
  'ENGINE_UNFIT',
  'ENGINE_NONE',
  'ENGINE_NO_RIGHT',
  'TARGET_LOOP',
] as const

const asBefore = (name: string): Text =>
  say`nothing was changed: ${name} goes on as it was, and so does the file`

/** 0 where all was done, 3 where some of the rule stands, else the code of what failed. */
export function exitOf({ failures, rules }: ChangeResult, name?: string): ExitCode {
  const [first] = failures
  if (!first) return 0
  const stands = ({ state }: RuleStatus): boolean => state === 'open' || state === 'degraded'
  if (rules.some((rule) => (name === undefined || rule.name === name) && stands(rule))) return 3
  return first.code in codes ? codes[first.code as Code].exit : 1
}
