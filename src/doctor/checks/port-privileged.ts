/** A low port needs a right that this process does not have. */
import { asService, startingWords, withRight } from '../../base/privilege.ts'
import { say } from '../../base/text.ts'
import { defineCheck, heldAt, listenOf, problemAt } from './contract.ts'

export const portPrivileged = defineCheck({
  code: 'port-privileged',
  hop: 'relay',
  title: say('the port needs a privilege', '포트를 여는 데 권한이 필요합니다'),
  explains: say(
    'Ports below net.ipv4.ip_unprivileged_port_start (1024) need CAP_NET_BIND_SERVICE on Linux; binding fails with EACCES.',
    'Linux에서 net.ipv4.ip_unprivileged_port_start(1024) 미만 포트는 CAP_NET_BIND_SERVICE가 있어야 하며, 없으면 EACCES로 실패합니다.',
  ),
  remedy: say('give the right, or listen on a high port', '권한을 주거나 높은 포트를 쓰세요'),
  cheap: true,
  async look(subject) {
    const listen = listenOf(subject)
    if (!listen || heldAt(subject, 'relay')) return null
    const { firstUnprivilegedPort: first, capabilities, privileged } = await subject.look.facts()
    const refused = problemAt(subject, 'relay') === 'LISTEN_PRIVILEGED'
    const lacking =
      listen.ports.first < first && !privileged && !capabilities.includes('CAP_NET_BIND_SERVICE')
    if (!refused && !lacking) return null
    const port = listen.ports.first
    return {
      evidence: [
        say(
          `port ${port} is below ${first || 1024}, and this process may not bind those`,
          `${port}번은 ${first || 1024} 미만이며, 이 프로세스는 그런 포트를 열 수 없습니다`,
        ),
      ],
      fixes: [
        {
          text: say('give this one right to Naru', 'Naru에 이 권한만 주세요'),
          command: withRight('net_bind_service', process, startingWords()),
        },
        {
          text: say('or run it as a service, which has it', '또는 이 권한이 있는 서비스로 실행하세요'),
          command: asService(),
        },
        {
          text: say('or let everybody bind it', '또는 모든 사용자가 열 수 있게 하세요'),
          command: `sudo sysctl net.ipv4.ip_unprivileged_port_start=${port}`,
        },
        {
          text: say(
            'or listen high, and let the router keep the low port outside',
            '또는 높은 포트를 쓰고, 바깥 포트만 낮게 두세요',
          ),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --listen ${port + 8000} --external-port ${port}`,
        },
      ],
    }
  },
})
