/** The rule names a guest, and who keeps it cannot be asked where it is. */
import { isNaruError, type NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { defineCheck, type SeenTarget } from './contract.ts'

export const guestUnseen = defineCheck({
  code: 'guest-unseen',
  hop: 'guest',
  title: say('nobody here can say where the guest is'),
  explains: say(
    'The target is the name of a guest, and its hypervisor or container engine cannot be asked: it is not installed, does not run, or its answer is of no use.',
  ),
  remedy: say('start or install what keeps the guest, or write the guest’s address as the target'),
  cheap: true,
  async look({ look, rule }) {
    return (await look.targets()).flatMap(({ guest, port, problem }) => {
      if (!guest || !isUnseen(problem)) return []
      return [
        {
          evidence: [problem.text],
          fixes: [
            {
              text: problem.fix ?? say('aim the rule at the guest’s address'),
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
