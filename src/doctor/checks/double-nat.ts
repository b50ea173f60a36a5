/** A second router stands between ours and the internet. */
import { addressRange } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { natAbove } from '../../model/nat-above.ts'
import type { RouterInfo } from '../../routers/contract.ts'
import { defineCheck, hasOutsideAddress, isPublished, problemAt, type Readings } from './contract.ts'

export const doubleNat = defineCheck({
  code: 'double-nat',
  hop: 'router',
  title: say('two routers stand in a row'),
  explains: say(
    'The nearest router’s outside address is private, or PCP answers ADDRESS_MISMATCH: another NAT is above it.',
  ),
  remedy: say('map on both, or set the outer one to bridge mode'),
  async look(subject) {
    const { rule, look } = subject
    if (rule !== null && !isPublished(subject)) return null
    // Mapped through both, it is no fault: the mapping's outside address is one the internet reaches.
    if (hasOutsideAddress(subject)) return null
    const routers = (await look.routers()).flatMap(({ info }) => (info ? [info] : []))
    const lan = await look.lan()
    const { nat, text } = natAbove({ own: lan ? [lan.address] : [], routers, stun: await look.stun() })
    const problem = problemAt(subject, 'router')
    // It has been asked, and does not do it.
    const refused = problem === 'ROUTER_BEHIND_ROUTER'
    const between = refused || problem === 'ROUTER_NAT_BETWEEN'
    const behind = nat === 'unknown' && !between ? await privateHopBehind(look, routers) : null
    if (nat !== 'two-routers' && !between && behind === null) return null
    const inner = routers[0]
    const bridge = say('set the outer one to bridge mode (its page: Operation mode → Bridge)')
    const wan = inner?.externalAddress
    return {
      severity: rule ? 'blocks' : 'warns',
      evidence: [
        behind
          ? say`the router has no public address, and behind it answers ${behind}, a private one`
          : between
            ? (subject.hops.find(({ hop }) => hop === 'router')?.text ?? text)
            : text,
      ],
      fixes: [
        ...(rule && !refused
          ? [
              {
                text: say('let Naru map on both'),
                command: `naru doctor ${rule.name} --fix`,
                ours: true,
              },
            ]
          : []),
        { instead: true, text: bridge },
        {
          instead: true,
          text: say`forward by hand on both: the outer one to ${wan ?? say('the inner router’s WAN address')}, the inner one to this machine`,
          ...(rule && { command: `naru router check ${rule.name}` }),
        },
      ],
    }
  },
})

/** A router that hides its private outside address (miniupnpd does) is given away by the one behind it. */
async function privateHopBehind(look: Readings, routers: readonly RouterInfo[]): Promise<string | null> {
  if (routers.length === 0 || routers.some(({ externalAddress }) => externalAddress)) return null
  const hop = await look.secondHop()
  return hop && addressRange(hop) === 'private' ? hop : null
}
