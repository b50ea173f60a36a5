/** The provider drops this port on its way in; another port gets through. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf } from './contract.ts'

export const providerBlocks = defineCheck({
  code: 'provider-blocks',
  hop: 'outside',
  title: say('the provider blocks the port', '통신사가 포트를 막고 있습니다'),
  explains: say(
    'Tried from outside: not one SYN for this port reached this machine, while one for another port did.',
    '바깥에서 시험했을 때 이 포트의 SYN은 하나도 도착하지 않았지만 다른 포트의 SYN은 도착했습니다.',
  ),
  remedy: say('use another external port', '다른 외부 포트를 쓰세요'),
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
        say(
          `${silent.by} tried port ${port}: no SYN arrived`,
          `${silent.by}에서 ${port}번 시도: SYN이 도착하지 않음`,
        ),
        say(
          `${other.by} tried port ${other.port}: it arrived`,
          `${other.by}에서 ${other.port}번 시도: 도착함`,
        ),
      ],
      fixes: [
        {
          text: say('use the port that works', '되는 포트를 쓰세요'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --external-port ${other.port}`,
        },
      ],
    }
  },
})
