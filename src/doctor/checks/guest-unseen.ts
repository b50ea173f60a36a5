/** The rule names a guest, and who keeps it cannot be asked where it is. */
import { isNaruError, type NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { defineCheck, type SeenTarget } from './contract.ts'

export const guestUnseen = defineCheck({
  code: 'guest-unseen',
  hop: 'guest',
  title: say('nobody here can say where the guest is', '게스트가 어디 있는지 알 수 없습니다'),
  explains: say(
    'The target is the name of a guest, and its hypervisor or container engine cannot be asked: it is not installed, does not run, or its answer is of no use.',
    '대상이 게스트 이름인데, 그 하이퍼바이저나 컨테이너 엔진에 물어볼 수 없습니다. 설치되어 있지 않거나, 실행 중이 아니거나, 응답을 쓸 수 없습니다.',
  ),
  remedy: say(
    'start or install what keeps the guest, or write the guest’s address as the target',
    '게스트를 관리하는 프로그램을 시작하거나 설치하고, 아니면 게스트 주소를 대상으로 직접 쓰세요',
  ),
  cheap: true,
  async look({ look, rule }) {
    return (await look.targets()).flatMap(({ guest, port, problem }) => {
      if (!guest || !isUnseen(problem)) return []
      return [
        {
          evidence: [problem.text],
          fixes: [
            {
              text:
                problem.fix ?? say('aim the rule at the guest’s address', '게스트 주소를 대상으로 쓰세요'),
              command: `naru edit ${rule?.name ?? 'NAME'} --target ADDRESS:${port}`,
            },
          ],
        },
      ]
    })
  },
})

function isUnseen(problem: SeenTarget['problem']): problem is NaruError {
  return isNaruError(
    problem,
    'GUEST_NOT_HERE',
    'GUEST_NOT_RUNNING',
    'GUEST_NO_TOOL',
    'GUEST_UNREADABLE',
    'GUEST_REFUSED',
    'GUEST_AMBIGUOUS',
  )
}
