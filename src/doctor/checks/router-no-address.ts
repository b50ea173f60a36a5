/** The router works, and has no public address of its own to open a port on. */
import { say } from '../../base/text.ts'
import { defineCheck, problemAt, statusOf } from './contract.ts'

export const routerNoAddress = defineCheck({
  code: 'router-no-address',
  hop: 'router',
  title: say('the router has no public address', '공유기에 공인 주소가 없습니다'),
  explains: say(
    'The router answers, and says that it has no outside address to map on (UPnP 501, NAT-PMP 3): its own line is down, or another NAT is above it.',
    '공유기가 응답하지만 매핑할 바깥 주소가 없다고 합니다(UPnP 501, NAT-PMP 3). 인터넷 회선이 끊겼거나 위에 NAT가 더 있습니다.',
  ),
  remedy: say('look at the router’s internet connection', '공유기의 인터넷 연결 상태를 확인하세요'),
  dependsOn: ['double-nat', 'carrier-nat'],
  look(subject) {
    const status = statusOf(subject, 'router')
    if (!status || problemAt(subject, 'router') !== 'ROUTER_NO_ADDRESS') return null
    return {
      evidence: [status.text],
      fixes: [
        {
          text: say(
            'on the router’s page: Internet status → is there an address?',
            '공유기 관리 페이지: 인터넷 상태에서 주소가 있는지 확인하세요',
          ),
        },
      ],
    }
  },
})
