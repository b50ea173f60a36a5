/** Nothing answers where the rule's targets point: the innermost hop, and so the first to look at. */
import { formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, listenersAt, type SeenTarget, type Sighting } from './contract.ts'

export const serviceDown = defineCheck({
  code: 'service-down',
  hop: 'service',
  title: say('the service does not run'),
  explains: say(
    'Connects to each target, as the relay would. Refused, with nobody in the socket table on that port, means that no program listens there.',
  ),
  remedy: say('start the service, or aim the rule at the port it listens on'),
  dependsOn: [
    'loopback-only',
    'wrong-protocol',
    'address-family',
    'guest-unseen',
    'guest-away',
    'guest-forward-missing',
    'nat-service-stopped',
  ],
  cheap: true,
  async look({ look, servedByUs }) {
    const targets = await look.targets()
    if (targets.some(answers)) return null
    const listeners = await listenersAt(targets, look)
    const taken = (target: SeenTarget): boolean =>
      target.local &&
      listeners.some((entry) => entry.protocol === target.protocol && entry.port === target.port)
    return targets
      .filter((target) => isDown(target) && !taken(target))
      .map((target) => ({ ...sightingOf(target), ...(servedByUs && { dependsOn: ['relay-not-open'] }) }))
  },
})

const answers = ({ dialled }: SeenTarget): boolean => dialled?.result === 'connected'

function isDown({ dialled, protocol, local, neighbour, problem }: SeenTarget): boolean {
  if (problem) return false
  // A UDP service shows itself in the socket table alone; of another machine nothing is known.
  if (protocol === 'udp') return local
  if (dialled?.result === 'refused') return true
  // What this machine lacks says nothing of the service (`cannot-dial`).
  if (dialled?.errno === 'EADDRNOTAVAIL' || dialled?.errno === 'EAFNOSUPPORT') return false
  return dialled !== null && dialled.result !== 'connected' && !local && neighbour === null
}

function sightingOf({ text, addresses, port, protocol, local, dialled }: SeenTarget): Sighting {
  const where = formatEndpoint(addresses[0] ?? '', port)
  const how =
    dialled?.result === 'refused'
      ? say`${where} refuses connections`
      : say`${where} (${protocol}) gives no answer`
  const nobody = say`no program listens on ${protocol} port ${port}`
  return {
    evidence: local ? [how, nobody] : [how],
    // The sockets of another machine are not in this one's table.
    fixes: local
      ? [
          {
            text: say`start the program behind ${text}, then look who listens`,
            command: `naru ports --find ${port}`,
          },
        ]
      : [{ text: say`start the program behind ${text}, and let it listen for other machines` }],
  }
}
