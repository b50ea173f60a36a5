/** The VM or machine behind the rule is off, or no longer has the address the rule knows. */
import { isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { defineCheck, type SeenTarget } from './contract.ts'

export const guestAway = defineCheck({
  code: 'guest-away',
  hop: 'guest',
  title: say('the guest is off or has moved'),
  explains: say(
    'The hypervisor says that the guest does not run or has no address; or its address is on our network and answers neither ARP nor a connection.',
  ),
  remedy: say('start the guest; aim the rule at its name, or pin its address'),
  dependsOn: ['client-isolation'],
  cheap: true,
  async look({ look, rule }) {
    const targets = await look.targets()
    return targets.filter(isAway).map((target) => ({
      evidence: [target.problem ? target.problem.text : silent(target)],
      fixes: [
        {
          text: target.guest
            ? say`start ${target.guest.name}`
            : say`switch on the machine at ${target.addresses[0]}, or find its new address`,
          ...startCommand(target),
        },
        ...(target.guest
          ? []
          : [
              {
                instead: true,
                text: say('name the guest, so that it is found by itself'),
                command: `naru edit ${rule?.name ?? 'NAME'} --target KIND:NAME:${target.port}`,
              },
            ]),
      ],
    }))
  },
})

function isAway({ problem, guest, dialled, neighbour, local }: SeenTarget): boolean {
  if (problem)
    return (
      guest !== null &&
      ['GUEST_STOPPED', 'GUEST_NO_ADDRESS', 'GUEST_UNKNOWN', 'GUEST_SILENT'].includes(problem.code)
    )
  if (local || dialled === null || dialled.result === 'connected' || dialled.result === 'refused')
    return false
  return neighbour === false
}

function silent({ text, addresses }: SeenTarget) {
  const address = addresses[0] ?? text
  return say`${address} is on our network and does not answer ARP`
}

/** As its hypervisor's member says it, which knows whether the guest is off or paused. */
function startCommand({ problem }: SeenTarget): { command?: string } {
  const start = isNaruError(problem, 'GUEST_STOPPED') ? problem.params.start : null
  return typeof start === 'string' ? { command: start } : {}
}
