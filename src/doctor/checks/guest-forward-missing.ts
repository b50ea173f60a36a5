/** The hypervisor was to forward a port and does not (any more). */
import { say } from '../../base/text.ts'
import { defineCheck, field, problemAt, statusOf } from './contract.ts'

export const guestForwardMissing = defineCheck({
  code: 'guest-forward-missing',
  hop: 'guest',
  title: say('the hypervisor’s forward is missing'),
  explains: say(
    'Naru asked the hypervisor for a forward; its list does not have it any more, or it refused.',
  ),
  remedy: say('add it again'),
  dependsOn: ['guest-away', 'nat-service-stopped'],
  async look(subject) {
    const target = subject.rule?.targets.map(({ to }) => to).find((to) => to.kind === 'guest')
    const status = statusOf(subject, 'guest')
    if (!target || target.kind !== 'guest' || !status) return null
    const code = problemAt(subject, 'guest')
    if (code !== null) {
      if (!['GUEST_NO_FORWARD', 'GUEST_FORWARD_LOST', 'GUEST_FORWARD_TAKEN', 'GUEST_REFUSED'].includes(code))
        return null
      return { evidence: [status.text], fixes: [again(subject.rule?.name)] }
    }
    const port = portOf(status.data)
    const guest = (await subject.look.guests()).find(
      ({ kind, name }) => kind === target.guest && name === target.name,
    )
    if (port === null || !guest || guest.state !== 'running') return null
    if (guest.forwards.some(({ hostPort }) => hostPort === port)) return null
    const listed =
      guest.forwards.map(({ hostPort, guestPort }) => `${hostPort} → ${guestPort}`).join(', ') || '—'
    return {
      evidence: [say`${guest.kind} ${guest.name} forwards: ${listed}; ${port} is not among them`],
      fixes: [again(subject.rule?.name)],
    }
  },
})

/** Where the hypervisor listens, as the member's lease says it. */
function portOf(data: unknown): number | null {
  const port = field(field(data, 'ports'), 'first')
  return typeof port === 'number' ? port : null
}

function again(rule = 'NAME') {
  return {
    text: say('open the rule anew'),
    command: `naru doctor ${rule} --fix`,
    ours: true,
  }
}
