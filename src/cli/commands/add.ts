/** `naru add NAME LISTEN TARGET`: a new rule for the daemon and its file. */
import { say } from '../../base/text.ts'
import { change, dryRun, resultJson } from '../change.ts'
import { giveOptions } from '../print/addresses.ts'
import { publishedAsSaid, ruleFrom, ruleOptions, targetsFrom } from '../rule-options.ts'
import { on, type Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'add',
  summary: say('add a rule to the file and open it'),
  arguments: [
    { name: 'NAME', text: say('name of the rule') },
    { name: 'LISTEN', text: say('where traffic arrives') },
    { name: 'TARGET', text: say('where it goes'), many: true },
  ],
  options: [...ruleOptions, ...giveOptions, { name: 'disabled', text: say('into the file only') }, dryRun],
  examples: [
    { command: 'naru add iis 8888 192.168.79.128:80', text: say('a web server in a VM') },
    {
      command: 'naru add game 25565/tcp+udp 192.168.1.20:25565 --publish',
      text: say('opened on the router and the firewall too'),
    },
    {
      command: 'naru add web 443 10.0.0.2:443,weight=2 10.0.0.3:443,backup --health 5s',
      text: say('several targets'),
    },
  ],
  json: resultJson,
  run(context) {
    const name = context.arg('NAME')
    const said = {
      listen: context.arg('LISTEN'),
      ...targetsFrom(context.args('TARGET'), 'naru add'),
      ...ruleFrom(context, 'naru add', context.io.now()),
      ...(context.option('disabled') === on ? { enabled: false } : {}),
    }
    const rule = publishedAsSaid(said, false)
    return change(context, name, say`added ${name}`, (naru, options) => naru.rules.add(name, rule, options))
  },
}
