/** The provider shares one public address among many customers: no mapping of ours can reach the internet. */
import { addressRange } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { natAbove } from '../../model/nat-above.ts'
import { defineCheck, hasOutsideAddress, isPublished, problemAt } from './contract.ts'

export const carrierNat = defineCheck({
  code: 'carrier-nat',
  hop: 'outside',
  title: say('the provider uses carrier-grade NAT'),
  explains: say(
    'The router’s outside address (or ours) is in 100.64.0.0/10, or a STUN server sees another address than the router has.',
  ),
  remedy: say('ask the provider for a public address, or use IPv6'),
  async look(subject) {
    const { rule, look } = subject
    if (rule !== null && !isPublished(subject)) return null
    const routers = (await look.routers()).flatMap(({ info }) => (info ? [info] : []))
    const lan = await look.lan()
    const { nat, text } = natAbove({ own: lan ? [lan.address] : [], routers, stun: await look.stun() })
    const told = problemAt(subject, 'router') === 'ROUTER_CARRIER_NAT'
    const hidden = routers.length > 0 && routers.every(({ externalAddress }) => !externalAddress)
    // A router that hides such an outside address is given away by the provider's, the next hop.
    const unknown = nat === 'unknown' && hidden && !told && !hasOutsideAddress(subject)
    const hop = unknown ? await look.secondHop() : null
    const behind = hop && addressRange(hop) === 'carrierGradeNat' ? hop : null
    if (nat !== 'carrier-grade' && !told && !behind) return null
    const own6 = (await look.interfaces())
      .flatMap(({ addresses }) => addresses)
      .find(({ family, address }) => family === 6 && /^[23]/.test(address))
    return {
      severity: rule ? 'blocks' : 'warns',
      evidence: [
        behind
          ? say`the router has no public address, and behind it answers ${behind}, from 100.64.0.0/10`
          : told
            ? (subject.hops.find(({ hop }) => hop === 'router')?.text ?? text)
            : text,
      ],
      fixes: [
        {
          text: say('ask the provider for a public IPv4 address (often free or a small fee)'),
        },
        ...(own6
          ? [
              {
                instead: true,
                text: say`let clients come by IPv6: [${own6.address}]`,
              },
            ]
          : []),
      ],
    }
  },
})
