/** The guest has an address of the LAN itself: the router could go straight to it. */
import { say } from '../../base/text.ts'
import { defineCheck, isPublished, sameNetwork } from './contract.ts'

export const guestBridged = defineCheck({
  code: 'guest-bridged',
  hop: 'guest',
  severity: 'informs',
  title: say('the guest is on the LAN itself', '게스트가 LAN에 직접 연결되어 있습니다'),
  explains: say(
    'The guest’s address is in the network of the interface that faces the router: its adapter is bridged.',
    '게스트 주소가 공유기 쪽 네트워크에 속합니다. 어댑터가 브리지 모드입니다.',
  ),
  remedy: say(
    'the router can map straight to the guest; through this machine works as well',
    '공유기에서 게스트로 바로 매핑할 수 있습니다. 이 컴퓨터를 거쳐도 됩니다',
  ),
  async look(subject) {
    const lan = await subject.look.lan()
    if (!lan || !isPublished(subject)) return null
    const guests = (await subject.look.targets()).filter(({ guest, local }) => guest !== null && !local)
    return guests.flatMap(({ guest, addresses, port }) => {
      const address = addresses.find((one) => sameNetwork(one, lan.address, lan.bits))
      if (!guest || !address) return []
      return [
        {
          evidence: [
            say(
              `${guest.name} has ${address}, and ${lan.interface.name} is ${lan.address}/${lan.bits}`,
              `${guest.name}의 주소는 ${address}, ${lan.interface.name}{은/는} ${lan.address}/${lan.bits}입니다`,
            ),
          ],
          fixes: [
            {
              text: say('map straight to it on the router', '공유기에서 바로 매핑하세요'),
              command: `naru router add ${port} ${address}:${port}`,
            },
          ],
        },
      ]
    })
  },
})
