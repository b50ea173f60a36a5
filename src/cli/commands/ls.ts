/** `naru ls`: the rules with each hop's state. */
import { isNaruError } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import { ruleFilter } from '../../model/rule-filter.ts'
import { roomOf } from '../io.ts'
import { verboseOption } from '../options.ts'
import { engineReasons, keptLines, openElsewhere, ruleTable } from '../print/rules.ts'
import { daemonOrFile, fileOf } from '../connect.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'ls',
  summary: say('rules with each hop’s state'),
  about: say(
    'STATE tells that the port is open from that somebody answers behind it: target untried is open and not looked at yet, target silent is open and nobody answers. Where no daemon runs it shows the rules of the file; what naru open holds in another terminal is listed too.',
  ),
  arguments: [
    {
      name: 'FILTER',
      optional: true,
      many: true,
      text: say('the same as --filter'),
    },
  ],
  options: [
    verboseOption,
    {
      name: 'filter',
      short: 'f',
      value: 'TEXT',
      many: true,
      text: say(
        'only rules with this text, or with state=open, tag=work, engine=splice, name=, listen= or target=',
      ),
    },
  ],
  examples: [
    { command: 'naru ls state=failed', text: say('what does not work') },
    {
      command: 'naru ls --filter tag=game --filter 25565',
      text: say('both have to hold'),
    },
    {
      command: 'naru ls --json | jq -r ".rules[].name"',
      text: say('names, for a script'),
    },
  ],
  json: say(
    '{running, rules: RuleStatus[], elsewhere: RuleStatus[]}; elsewhere is what naru open holds in other terminals, as it was when a hop last changed.',
  ),
  async run(context) {
    const { print, json, io, deps } = context
    const words = [...context.args('FILTER'), ...context.options('filter')]
    const isMeant = ruleFilter(words)
    const [{ naru, running }, others] = await Promise.all([daemonOrFile(context), deps.openElsewhere()])
    const elsewhere = others.filter(isMeant)
    const all = await naru.rules.list().catch((error: unknown) => {
      // Who only ever opens in the foreground has none.
      if (others.length > 0 && isNaruError(error, 'FILE_MISSING')) return []
      throw error
    })
    const rules = all.filter(isMeant)
    if (json) {
      print.json({ running, rules, elsewhere })
      return 0
    }
    const isEmpty = rules.length === 0 && elsewhere.length === 0
    if (!running && (rules.length > 0 || isEmpty)) {
      const file = await fileOf(naru)
      print.talk(elsewhere.length > 0 ? othersOfFile(file) : ofFile(file))
    }
    if (isEmpty) print.talk(words.length > 0 ? noneMeant : howToBegin)
    else
      for (const line of ruleTable(rules, print, { now: io.now(), elsewhere, room: roomOf(io.stdout) }))
        print.data(line)
    for (const line of keptLines(rules, print)) print.talk(line)
    if (context.switched('verbose'))
      for (const line of engineReasons([...rules, ...elsewhere], print)) print.talk(verbatim(line))
    if (elsewhere.length > 0) print.talk(openElsewhere(elsewhere.map(({ name }) => name)))
    return 0
  },
}

const ofFile = (file: Text): Text => say`No Naru runs; these are the rules of ${file}.`
const othersOfFile = (file: Text): Text =>
  say`No daemon runs; what naru open does not hold is shown as it is in ${file}.`
const noneMeant = say('No rule is like that.')
const howToBegin = say('There are no rules yet: naru add NAME LISTEN TARGET')
