/** Nothing arrives from outside, and no hop on this side says why. */
import { say } from '../../base/text.ts'
import { outsiderText } from '../../model/diagnosis.ts'
import { defineCheck, externalPortOf } from './contract.ts'

export const outsideSilent = defineCheck({
  code: 'outside-silent',
  hop: 'outside',
  title: say('nothing arrives from outside'),
  explains: say(
    'Tried from outside: no SYN reached this machine. Which hop swallowed it is said by the other checks; where none does, it is beyond the router.',
  ),
  remedy: say('try another port, then ask the provider'),
  dependsOn: [
    'provider-blocks',
    'mapping-lost',
    'mapping-not-done',
    'router-silent',
    'router-refuses',
    'external-port-taken',
    'router-table-full',
    'double-nat',
    'carrier-nat',
    'address-changed',
    'no-gateway',
    'host-firewall',
    'block-rule',
    'port-sent-on',
    'vpn-route',
    'asymmetric-return',
    'other-port-granted',
    'router-admin-port',
    'relay-not-open',
    'address-gone',
    'port-taken',
    'pinhole-missing',
    'dns-stale',
  ],
  look(subject) {
    const port = externalPortOf(subject)
    const tests = subject.outside.filter((test) => test.port === port)
    const silent = tests.find((test) => test.result === 'silent' && !test.synsSeen)
    if (!silent || tests.some(({ result }) => result === 'answered')) return null
    const by = outsiderText(silent.who)
    return {
      evidence: [
        say`${by} tried ${silent.to} port ${port}: ${silent.synsSeen === 0 ? say('no SYN reached this machine') : say('no answer')}`,
      ],
      fixes: [
        {
          text: say('try another port from outside'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --external-port ${(port ?? 8888) + 1}`,
        },
      ],
    }
  },
})
