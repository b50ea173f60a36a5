/** The router said "done" and did nothing. */
import { say } from '../../base/text.ts'
import { defineCheck, problemAt, statusOf } from './contract.ts'

export const mappingNotDone = defineCheck({
  code: 'mapping-not-done',
  hop: 'router',
  title: say('the router says done, and is not'),
  explains: say('The router accepted the mapping; read back right after, it is not there or is another.'),
  remedy: say('use another protocol, or type the forward by hand'),
  look(subject) {
    const status = statusOf(subject, 'router')
    if (!status || problemAt(subject, 'router') !== 'ROUTER_NOT_DONE') return null
    return {
      evidence: [status.text],
      fixes: ['pcp', 'nat-pmp', 'upnp']
        .filter((member) => member !== status.member)
        .map((member) => ({
          text: say`try ${member}`,
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --router ${member}`,
        })),
    }
  },
})
