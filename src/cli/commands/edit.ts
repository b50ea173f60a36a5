/** `naru edit NAME`: change some keys of a rule; the rest stays, and so do the connections it has. */
import { say } from '../../base/text.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import type { Json } from '../../model/hop.ts'
import { change, dryRun, resultJson } from '../change.ts'
import { usage } from '../parse.ts'
import { publishedAsSaid, ruleFrom, ruleOptions, targetsFrom } from '../rule-options.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'edit',
  summary: say('change some keys of a rule'),
  about: say('Only what is said changes. Connections that are open go on under the terms they began with.'),
  arguments: [{ name: 'NAME', text: say('name of the rule'), completes: 'rule' }],
  options: [
    { name: 'listen', value: 'LISTEN', text: say('where traffic arrives') },
    { name: 'target', value: 'TARGET', many: true, text: say('where it goes') },
    ...ruleOptions,
    {
      name: 'unset',
      value: 'KEY',
      many: true,
      text: say('take a key out: allow, timeouts.idle'),
    },
    dryRun,
  ],
  examples: [
    { command: 'naru edit iis --target 192.168.79.130:80', text: say('another target') },
    {
      command: 'naru edit iis --allow 192.168.0.0/16 --for 2h',
      text: say('fewer clients, for two hours'),
    },
    { command: 'naru edit iis --unset until', text: say('open without end again') },
  ],
  json: resultJson,
  run(context) {
    const name = context.arg('NAME')
    const edit = changeFrom(context)
    const done = say`changed ${name}`
    return change(context, name, done, async (naru, options) => {
      const before = 'publish' in edit ? (await naru.rules.get(name)).rule['publish'] : undefined
      return naru.rules.edit(name, publishedAsSaid(edit, before), options)
    })
  },
}

export function changeFrom(context: Pick<Context, 'option' | 'options' | 'switched' | 'io'>): RuleInput {
  const listen = context.option('listen')
  const targets = targetsFrom(context.options('target'), 'naru edit')
  // One target replaces several, and the other way round.
  const other: RuleInput =
    'target' in targets ? { targets: null } : 'targets' in targets ? { target: null } : {}
  const set: RuleInput = {
    ...(listen === null ? {} : { listen }),
    ...targets,
    ...other,
    ...ruleFrom(context, 'naru edit', context.io.now()),
  }
  const edit = context.options('unset').reduce<RuleInput>((rule, key) => without(rule, key.split('.')), set)
  if (Object.keys(edit).length === 0) throw usage('naru edit', say('nothing to change was given'))
  return edit
}

function without(rule: RuleInput, [key = '', ...rest]: readonly string[]): RuleInput {
  if (rest.length === 0) return { ...rule, [key]: null }
  const inner: Json = rule[key] ?? {}
  return { ...rule, [key]: without(inner as RuleInput, rest) }
}
