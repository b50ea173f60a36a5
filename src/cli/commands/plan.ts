/** `naru plan`: what would be done for the file as it is now, and by whom. */
import { say } from '../../base/text.ts'
import { printPlan } from '../print/plan.ts'
import { daemonOrFile } from '../connect.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'plan',
  summary: say(
    'what would be done for the file as it is now, and by whom',
    '지금 파일대로면 무엇을 누가 하게 되는지',
  ),
  about: say(
    'Nothing is done. For a single change use --dry-run with open, add, edit, rm, enable or disable.',
    '아무것도 실행하지 않습니다. 변경 하나만 보려면 open, add, edit, rm, enable, disable에 --dry-run을 쓰세요.',
  ),
  examples: [{ command: 'naru plan', text: say('the steps, inside out', '안쪽부터 바깥쪽까지의 단계') }],
  json: say('Plan: {steps, notes}', 'Plan: {steps, notes}'),
  async run(context) {
    const { naru } = await daemonOrFile(context)
    printPlan(await naru.plan(), context)
    return 0
  },
}
