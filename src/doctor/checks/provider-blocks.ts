/** The provider drops this port on its way in; another port gets through. */
import { say } from '../../base/text.ts'
import { outsiderText } from '../../model/diagnosis.ts'
import { defineCheck, externalPortOf } from './contract.ts'

export const providerBlocks = defineCheck({
  code: 'provider-blocks',
  hop: 'outside',
  title: say('the provider blocks the port'),
  explains: say(
    'Tried from outside: not one SYN for this port reached this machine, while one for another port did.',
  ),
  remedy: say('use another external port'),
  dependsOn: [
    'mapping-lost',
    'mapping-not-done',
    'router-silent',
    'router-refuses',
    'external-port-taken',
    'double-nat',
    'carrier-nat',
    'address-changed',
  ],
  look(subject) {
    const port = externalPortOf(subject)
    const silent = subject.outside.find(
      (test) => test.port === port && test.result === 'silent' && test.synsSeen === 0,
    )
    const other = subject.outside.find(
      (test) => test.port !== port && (test.result === 'answered' || (test.synsSeen ?? 0) > 0),
    )
    if (!silent || !other) return null
    return {
      evidence: [
        say`${outsiderText(silent.who)} tried port ${port}: no SYN arrived`,
        say`${outsiderText(other.who)} tried port ${other.port}: it arrived`,
      ],
      fixes: [
        {
          text: say('use the port that works'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --external-port ${other.port}`,
        },
      ],
    }
  },
})
