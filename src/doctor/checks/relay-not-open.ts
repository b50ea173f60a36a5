/** Nothing listens for the rule, and no other check says why: Naru does not run, or the rule is off. */
import { formatListen } from '../../model/listen.ts'
import type { Finding } from '../../model/finding.ts'
import { say } from '../../base/text.ts'
import { defineCheck, listenOf, problemAt, statusOf, type CheckSubject } from './contract.ts'

export const relayNotOpen = defineCheck({
  code: 'relay-not-open',
  hop: 'relay',
  title: say('the rule is not open'),
  explains: say('The daemon holds no relay for the rule and the socket table has nobody on its port.'),
  remedy: say('start Naru, or enable the rule'),
  // A service that is away keeps no rule from opening: both are told.
  dependsOn: [
    'address-gone',
    'port-taken',
    'port-privileged',
    'reserved-range',
    'guest-unseen',
    'guest-away',
    'guest-firewall',
    'guest-forward-missing',
    'address-family',
    'nat-service-stopped',
  ],
  cheap: true,
  async look(subject) {
    const listen = listenOf(subject)
    const status = statusOf(subject, 'relay')
    if (!listen || (status && status.state !== 'broken' && status.state !== 'off')) return null
    const open = (await subject.look.listeners({ first: listen.ports.first, last: listen.ports.first })).some(
      (entry) => entry.port === listen.ports.first && listen.protocols.includes(entry.protocol),
    )
    if (open) return null
    const code = problemAt(subject, 'relay')
    return {
      evidence: [say`nobody listens on ${formatListen(listen)}`, ...(code && status ? [status.text] : [])],
      // A daemon that tried and could not says itself what to do.
      fixes: code && status ? status.notes.map((text) => ({ text })) : toOpen(subject),
    }
  },
})

function toOpen({ rule, hops }: CheckSubject): Finding['fixes'] {
  const start = { text: say('start the daemon'), command: 'naru up' }
  const enable = {
    instead: true,
    text: say('enable the rule'),
    command: `naru enable ${rule?.name ?? 'NAME'}`,
  }
  // Where nobody runs, what is not switched off needs nothing else.
  return rule?.enabled && hops.length === 0 ? [start] : [start, enable]
}
