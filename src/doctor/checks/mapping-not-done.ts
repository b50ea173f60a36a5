/** The router said "done" and did nothing. */
import { say } from '../../base/text.ts'
import { defineCheck, problemAt, statusOf } from './contract.ts'

export const mappingNotDone = defineCheck({
  code: 'mapping-not-done',
  hop: 'router',
  title: say('the router says done, and is not', '공유기가 열었다고 하지만 실제로는 열리지 않았습니다'),
  explains: say(
    'The router accepted the mapping; read back right after, it is not there or is another.',
    '공유기가 매핑을 받아들였지만 바로 다시 읽어 보면 없거나 다릅니다.',
  ),
  remedy: say('use another protocol, or type the forward by hand', '다른 프로토콜을 쓰거나 직접 입력하세요'),
  look(subject) {
    const status = statusOf(subject, 'router')
    if (!status || problemAt(subject, 'router') !== 'ROUTER_NOT_DONE') return null
    return {
      evidence: [status.text],
      fixes: ['pcp', 'nat-pmp', 'upnp']
        .filter((member) => member !== status.member)
        .map((member) => ({
          text: say(`try ${member}`, `${member}{으로/로} 시도하세요`),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --router ${member}`,
        })),
    }
  },
})
