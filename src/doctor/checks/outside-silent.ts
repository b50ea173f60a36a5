/** Nothing arrives from outside, and no hop on this side says why. */
import { say } from '../../base/text.ts'
import { triedByText } from '../../model/diagnosis.ts'
import { defineCheck, externalPortOf } from './contract.ts'

export const outsideSilent = defineCheck({
  code: 'outside-silent',
  hop: 'outside',
  title: say('nothing arrives from outside', '바깥에서 아무것도 도착하지 않습니다'),
  explains: say(
    'Tried from outside: no SYN reached this machine. Which hop swallowed it is said by the other checks; where none does, it is beyond the router.',
    '바깥에서 시험했을 때 SYN이 도착하지 않았습니다. 어디서 사라졌는지는 다른 검사가 말해 줍니다. 아무 검사도 걸리지 않으면 공유기 바깥입니다.',
  ),
  remedy: say('try another port, then ask the provider', '다른 포트로 시험해 보고 통신사에 문의하세요'),
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
    'port-taken',
    'pinhole-missing',
    'dns-stale',
  ],
  look(subject) {
    const port = externalPortOf(subject)
    const tests = subject.outside.filter((test) => test.port === port)
    const silent = tests.find((test) => test.result === 'silent' && !test.synsSeen)
    if (!silent || tests.some(({ result }) => result === 'answered')) return null
    const by = triedByText(silent.by)
    return {
      evidence: [
        say(
          `${by.en} tried ${silent.to} port ${port}: ${silent.synsSeen === 0 ? 'no SYN reached this machine' : 'no answer'}`,
          `${by.ko}에서 ${silent.to}의 ${port}번 시도: ${silent.synsSeen === 0 ? '이 컴퓨터에 SYN이 도착하지 않음' : '응답 없음'}`,
        ),
      ],
      fixes: [
        {
          text: say('try another port from outside', '바깥에서 다른 포트로 시험해 보세요'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --external-port ${(port ?? 8888) + 1}`,
        },
      ],
    }
  },
})
