/** This machine has no way to a router at all. */
import { say } from '../../base/text.ts'
import { defineCheck, isPublished, otherWayOut } from './contract.ts'

export const noGateway = defineCheck({
  code: 'no-gateway',
  hop: 'machine',
  title: say('there is no way to a router', '공유기로 가는 경로가 없습니다'),
  explains: say(
    'No interface that is up, and is neither a VPN nor a VM’s, has a default route with a gateway.',
    '켜져 있는 인터페이스(VPN·VM 제외) 중 기본 게이트웨이가 있는 것이 없습니다.',
  ),
  remedy: say(
    'connect the cable or the Wi-Fi, and look at DHCP',
    '케이블이나 Wi-Fi를 연결하고 DHCP를 확인하세요',
  ),
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
        say(
          `no default route by a router; interfaces: ${names.join(', ') || 'none'}`,
          `공유기로 가는 기본 경로가 없습니다. 인터페이스: ${names.join(', ') || '없음'}`,
        ),
        ...(vpn
          ? [
              say(
                `the VPN ${vpn} is up: where it takes all traffic, answers to clients outside leave by it and are lost, also where the router maps the port`,
                `VPN ${vpn}{이/가} 켜져 있습니다. 모든 트래픽이 VPN으로 나가면 공유기에 포트가 열려 있어도 밖으로 가는 응답이 VPN으로 나가 사라집니다`,
              ),
            ]
          : []),
      ],
      fixes: [{ text: say('see what this machine has', '현재 상태를 확인하세요'), command: 'naru ip' }],
    }
  },
})
