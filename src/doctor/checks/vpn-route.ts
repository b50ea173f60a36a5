/** What leaves for the internet goes into a VPN, so answers to outside clients do not go back by the router. */
import { say, sayOf } from '../../base/text.ts'
import { defineCheck, isPublished, listenOf, otherWayOut, type CheckSubject } from './contract.ts'

export const vpnRoute = defineCheck({
  code: 'vpn-route',
  hop: 'machine',
  title: say('the way out is not by the router'),
  explains: say(
    'The routing table sends packets for the internet into a VPN or VM adapter, or the rule listens on an address that the router cannot reach.',
  ),
  remedy: say('listen on the LAN’s address, and let the VPN leave answers alone'),
  cheap: true,
  async look(subject, { signal }) {
    const lan = await subject.look.lan()
    if (!lan || (subject.rule !== null && !isPublished(subject))) return null
    const out = await otherWayOut(subject, signal)
    if (out) {
      return {
        severity: isPublished(subject) ? 'blocks' : 'warns',
        evidence: [
          say`packets to the internet leave by ${out.name} (${out.kind}), not by ${lan.interface.name}`,
        ],
        fixes: [
          {
            text: say('answers must leave where they came in'),
            command: `sudo ip rule add from ${lan.address} table 100 && sudo ip route add default via ${lan.gateway ?? 'GATEWAY'} dev ${lan.interface.name} table 100`,
          },
          {
            instead: true,
            text: say('take the VPN’s "redirect all traffic" off'),
          },
        ],
      }
    }
    return wrongAddress(subject, lan)
  },
})

async function wrongAddress(
  subject: CheckSubject,
  lan: NonNullable<Awaited<ReturnType<CheckSubject['look']['lan']>>>,
) {
  const wanted = listenOf(subject)?.address
  if (!wanted || wanted.includes(':') || wanted === '0.0.0.0' || wanted === lan.address) return null
  const other = (await subject.look.interfaces()).find(({ addresses }) =>
    addresses.some(({ address }) => address === wanted),
  )
  if (other?.name === lan.interface.name) return null
  return {
    evidence: [
      say`the rule listens on ${wanted}${other ? sayOf('close')` (${other.name})` : ''}; the router reaches ${lan.address} (${lan.interface.name})`,
    ],
    fixes: [
      {
        text: say('listen on the LAN'),
        command: `naru edit ${subject.rule?.name ?? 'NAME'} --listen ${lan.address}:${listenOf(subject)?.ports.first}`,
        ours: subject.rule !== null,
      },
    ],
  }
}
