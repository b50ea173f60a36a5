/** A test from inside the LAN against the public address fails, which says nothing of the outside. */
import { formatEndpoint, isPublic } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, heldAt, isPublished, listenOf, type CheckSubject } from './contract.ts'

export const noHairpin = defineCheck({
  code: 'no-hairpin',
  hop: 'router',
  severity: 'informs',
  title: say('the public address does not work from inside', '집 안에서는 공인 주소로 접속되지 않습니다'),
  explains: say(
    'Connects to the router’s public address from here. An answer proves that the mapping works; no answer proves nothing, since many routers do not turn packets around (hairpin).',
    '여기서 공유기의 공인 주소로 연결해 봅니다. 응답이 있으면 매핑이 된다는 증거이지만, 없어도 아무 증거가 되지 않습니다. 안에서 나간 패킷을 되돌려 주지 않는(헤어핀) 공유기가 많기 때문입니다.',
  ),
  remedy: say(
    'test from outside; at home use the private address',
    '바깥에서 시험하고, 집 안에서는 사설 주소를 쓰세요',
  ),
  async look(subject) {
    const port = externalPortOf(subject)
    const listen = listenOf(subject)
    if (
      port === null ||
      !isPublished(subject) ||
      !heldAt(subject, 'router') ||
      !listen?.protocols.includes('tcp')
    )
      return null
    const wan = (await subject.look.routers())
      .map(({ info }) => info?.externalAddress)
      .find((address) => address && isPublic(address))
    if (!wan || (await subject.look.dial(wan, port)).result === 'connected') return null
    const lan = await subject.look.lan()
    return {
      evidence: [
        say(
          `${formatEndpoint(wan, port)} gives no answer from here; that says nothing of the outside`,
          `${formatEndpoint(wan, port)}{이/가} 여기서는 응답하지 않습니다. 바깥에서의 접속과는 무관합니다`,
        ),
      ],
      fixes: [
        // Once somebody came in from there, that is done.
        ...(subject.outside.some(({ result }) => result === 'answered') ? [] : [fromOutside(subject)]),
        ...(lan
          ? [
              {
                text: say(
                  `at home use ${formatEndpoint(lan.address, listen.ports.first)}`,
                  `집 안에서는 ${formatEndpoint(lan.address, listen.ports.first)}{을/를} 쓰세요`,
                ),
              },
            ]
          : []),
      ],
    }
  },
})

function fromOutside({ rule }: CheckSubject) {
  return {
    text: say('test from outside', '바깥에서 시험하세요'),
    command: `naru doctor ${rule?.name ?? 'NAME'} --from-phone`,
  }
}
