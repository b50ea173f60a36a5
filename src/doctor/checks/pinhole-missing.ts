/** By IPv6 there is no NAT, but the router's firewall lets nothing in without a pinhole. */
import { isPublic } from '../../base/address.ts'
import { formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { outsiderText } from '../../model/diagnosis.ts'
import { defineCheck, isPublished, listenOf } from './contract.ts'

export const pinholeMissing = defineCheck({
  code: 'pinhole-missing',
  hop: 'router',
  title: say('the router lets no IPv6 in'),
  explains: say(
    'Clients come by IPv6 (a name has our AAAA, or a test from outside went there), and no SYN arrives: the router’s IPv6 firewall has no pinhole for the port.',
  ),
  remedy: say('open a pinhole (AddPinhole, PCP), or allow the port under IPv6 firewall'),
  async look(subject) {
    const listen = listenOf(subject)
    if (!listen || !isPublished(subject) || (listen.address !== null && !listen.address.includes(':')))
      return null
    const silent = subject.outside.find(
      ({ to, port, result, synsSeen }) =>
        to.includes(':') && port === listen.ports.first && result === 'silent' && synsSeen === 0,
    )
    if (!silent) return null
    const own = (await subject.look.interfaces()).flatMap(({ addresses }) =>
      addresses.filter(({ family, address }) => family === 6 && isPublic(address)),
    )
    if (!own.some(({ address }) => address === silent.to)) return null
    return {
      evidence: [
        say`${outsiderText(silent.who)} tried ${formatEndpoint(silent.to, silent.port)}: no SYN arrived`,
      ],
      fixes: [
        {
          text: say('let Naru ask for a pinhole'),
          command: `naru doctor ${subject.rule?.name ?? 'NAME'} --fix`,
          ours: true,
        },
        {
          instead: true,
          text: say`on the router: Firewall → IPv6 Firewall → allow ${listen.protocols.join('+')} ${listen.ports.first} to ${silent.to}`,
        },
      ],
    }
  },
})
