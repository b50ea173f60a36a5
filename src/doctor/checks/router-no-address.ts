/** The router works, and has no public address of its own to open a port on. */
import { say } from '../../base/text.ts'
import { defineCheck, problemAt, statusOf } from './contract.ts'

export const routerNoAddress = defineCheck({
  code: 'router-no-address',
  hop: 'router',
  title: say('the router has no public address'),
  explains: say(
    'The router answers, and says that it has no outside address to map on (UPnP 501, NAT-PMP 3): its own line is down, or another NAT is above it.',
  ),
  remedy: say('look at the router’s internet connection'),
  dependsOn: ['double-nat', 'carrier-nat'],
  look(subject) {
    const status = statusOf(subject, 'router')
    if (!status || problemAt(subject, 'router') !== 'ROUTER_NO_ADDRESS') return null
    return {
      evidence: [status.text],
      fixes: [
        {
          text: say('on the router’s page: Internet status → is there an address?'),
        },
      ],
    }
  },
})
