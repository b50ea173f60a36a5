/** A low port needs a right that this process does not have. */
import { asService, startingWords, withRight } from '../../base/privilege.ts'
import { say } from '../../base/text.ts'
import { defineCheck, heldAt, listenOf, problemAt } from './contract.ts'

export const portPrivileged = defineCheck({
  code: 'port-privileged',
  hop: 'relay',
  title: say('the port needs a privilege'),
  explains: say(
    'Ports below net.ipv4.ip_unprivileged_port_start (1024) need CAP_NET_BIND_SERVICE on Linux; binding fails with EACCES.',
  ),
  remedy: say('give the right, or listen on a high port'),
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
      evidence: [say`port ${port} is below ${first || 1024}, and this process may not bind those`],
      fixes: [
        {
          text: say('give this one right to Naru'),
          command: withRight('net_bind_service', process, startingWords()),
        },
        {
          instead: true,
          text: say('run it as a service, which has it'),
          command: asService(),
        },
        {
          instead: true,
          text: say('let everybody bind it'),
          command: `sudo sysctl net.ipv4.ip_unprivileged_port_start=${port}`,
        },
        {
          instead: true,
          text: say('listen high, and let the router keep the low port outside'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --listen ${port + 8000} --external-port ${port}`,
        },
      ],
    }
  },
})
