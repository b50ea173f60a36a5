/** The rule leads to others of this machine that lead back to it: nothing behind any of them is ever reached. */
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

export const ruleLoop = defineCheck({
  code: 'rule-loop',
  hop: 'service',
  title: say(
    'the rule leads back to itself by way of others',
    '규칙이 다른 규칙을 거쳐 자기 자신으로 돌아옵니다',
  ),
  explains: say(
    'Follows the rule’s targets through the rules that listen where they lead, port by port. A connection that goes round is ended after eight crossings, with the reason `loop`.',
    '규칙의 대상이 가리키는 곳에서 수신하는 규칙들을 포트별로 따라갑니다. 이렇게 도는 연결은 여덟 번 거친 뒤 `loop` 이유로 끊깁니다.',
  ),
  remedy: say('aim one of them at the service itself', '그중 한 규칙의 대상을 실제 서비스로 바꾸세요'),
  cheap: true,
  async look({ rule, look }) {
    const way = await look.wayRound()
    if (way === null) return null
    const shown = wayText([...way, way[0] as string])
    return {
      evidence: [
        say(
          `${shown}: these rules lead to each other, and a connection is ended after eight crossings`,
          `${shown}: 규칙이 서로를 가리켜, 연결이 여덟 번 거친 뒤 끊깁니다`,
        ),
      ],
      fixes: [
        {
          text: say('aim one of them at the service itself', '그중 하나의 대상을 실제 서비스로 바꾸세요'),
          command: `naru edit ${rule?.name ?? 'NAME'} --target HOST:PORT`,
        },
      ],
    }
  },
})

/** Of a long way its beginning and its end. */
function wayText(names: readonly string[]): string {
  const shown = names.length > 12 ? [...names.slice(0, 10), '…', ...names.slice(-1)] : names
  return shown.join(' → ')
}
