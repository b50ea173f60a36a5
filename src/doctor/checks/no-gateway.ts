/** This machine has no way to a router at all. */
import { say } from '../../base/text.ts'
import { defineCheck, isPublished, otherWayOut } from './contract.ts'

export const noGateway = defineCheck({
  code: 'no-gateway',
  hop: 'machine',
  title: say('there is no way to a router'),
  explains: say(
    'No interface that is up, and is neither a VPN nor a VM’s, has a default route with a gateway.',
  ),
  remedy: say('connect the cable or the Wi-Fi, and look at DHCP'),
  cheap: true,
  async look(subject, { signal }) {
    if (subject.rule !== null && !isPublished(subject)) return null
    const lan = await subject.look.lan()
    if (lan?.gateway) return null
    // A VPN that took the default route away is another fault, and has another remedy.
    if (lan && (await otherWayOut(subject, signal))) return null
    const up = (await subject.look.interfaces()).filter((each) => each.up)
    const vpn = up.find(({ kind }) => kind === 'vpn')?.name
    const names = up
      .filter(({ kind }) => kind !== 'loopback')
      .map(({ name, addresses }) => `${name} ${addresses[0]?.address ?? '—'}`)
    return {
      severity: isPublished(subject) ? 'blocks' : 'warns',
      evidence: [
        say`no default route by a router; interfaces: ${names.join(', ') || say('none')}`,
        ...(vpn
          ? [
              say`the VPN ${vpn} is up: where it takes all traffic, answers to clients outside leave by it and are lost, also where the router maps the port`,
            ]
          : []),
      ],
      fixes: [{ text: say('see what this machine has'), command: 'naru ip' }],
    }
  },
})
