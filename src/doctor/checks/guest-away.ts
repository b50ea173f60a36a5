/** The VM or machine behind the rule is off, or no longer has the address the rule knows. */
import { isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { defineCheck, type SeenTarget } from './contract.ts'

export const guestAway = defineCheck({
  code: 'guest-away',
  hop: 'guest',
  title: say('the guest is off or has moved', '게스트가 꺼져 있거나 주소가 바뀌었습니다'),
  explains: say(
    'The hypervisor says that the guest does not run or has no address; or its address is on our network and answers neither ARP nor a connection.',
    '하이퍼바이저가 게스트가 꺼졌거나 주소가 없다고 하거나, 게스트 주소가 같은 네트워크에 있는데 ARP에도 연결에도 응답하지 않습니다.',
  ),
  remedy: say(
    'start the guest; aim the rule at its name, or pin its address',
    '게스트를 시작하고, 규칙의 대상을 이름으로 쓰거나 주소를 고정하세요',
  ),
  dependsOn: ['client-isolation'],
  cheap: true,
  async look({ look, rule }) {
    const targets = await look.targets()
    return targets.filter(isAway).map((target) => ({
      evidence: [target.problem ? target.problem.text : silent(target)],
      fixes: [
        {
          text: target.guest
            ? say(`start ${target.guest.name}`, `${target.guest.name}{을/를} 시작하세요`)
            : say(
                `switch on the machine at ${target.addresses[0]}, or find its new address`,
                `${target.addresses[0]} 컴퓨터를 켜거나, 바뀐 주소를 확인하세요`,
              ),
          ...startCommand(target),
        },
        ...(target.guest
          ? []
          : [
              {
                text: say(
                  'or name the guest, so that it is found by itself',
                  '또는 게스트 이름을 쓰면 주소를 알아서 찾습니다',
                ),
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
  return say(
    `${address} is on our network and does not answer ARP`,
    `${address}{은/는} 같은 네트워크에 있지만 ARP에 응답하지 않습니다`,
  )
}

/** As its hypervisor's member says it, which knows whether the guest is off or paused. */
function startCommand({ problem }: SeenTarget): { command?: string } {
  const start = isNaruError(problem, 'GUEST_STOPPED') ? problem.params.start : null
  return typeof start === 'string' ? { command: start } : {}
}
