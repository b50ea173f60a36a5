/** The service speaks UDP and the rule TCP, or the other way about. */
import { say } from '../../base/text.ts'
import { defineCheck, listenersAt, type SeenTarget } from './contract.ts'

export const wrongProtocol = defineCheck({
  code: 'wrong-protocol',
  hop: 'service',
  title: say('the service speaks the other protocol', '서비스의 프로토콜이 규칙과 다릅니다(TCP/UDP)'),
  explains: say(
    'Nobody listens on the target’s port by the rule’s protocol, while the socket table has it by the other.',
    '규칙의 프로토콜로는 대상 포트를 연 프로그램이 없는데, 다른 프로토콜로는 열려 있습니다.',
  ),
  remedy: say('forward the other protocol, or both', '다른 프로토콜을, 또는 둘 다 전달하세요'),
  cheap: true,
  async look({ look, rule }) {
    const local = (await look.targets()).filter(isSilentHere)
    if (local.length === 0) return null
    const listeners = await listenersAt(local, look)
    return local.flatMap(({ text, port, protocol }) => {
      const other = protocol === 'tcp' ? 'udp' : 'tcp'
      const found = listeners.filter((entry) => entry.port === port)
      if (
        found.some((entry) => entry.protocol === protocol) ||
        !found.some((entry) => entry.protocol === other)
      )
        return []
      const who = found[0]?.process
      const name = who ? `${who.name} (pid ${who.pid})` : 'a program'
      return [
        {
          evidence: [
            say(
              `${text}: ${name} listens on ${other} port ${port}, nobody on ${protocol}`,
              `${text}: ${name}{이/가} ${other} ${port}번만 열었고, ${protocol}{으로/로} 연 프로그램은 없습니다`,
            ),
          ],
          fixes: [
            {
              text: say(`forward ${other} as well`, `${other}도 함께 전달하세요`),
              command: `naru edit ${rule?.name ?? 'NAME'} --listen ${listenText(rule)}/tcp+udp`,
            },
          ],
        },
      ]
    })
  },
})

function isSilentHere({ local, protocol, dialled }: SeenTarget): boolean {
  return local && (protocol === 'udp' || dialled?.result !== 'connected')
}

function listenText(
  rule: { listen: { kind: string; ports?: { first: number; last: number } } } | null,
): string {
  const ports = rule?.listen.ports
  if (!ports) return 'PORT'
  return ports.first === ports.last ? String(ports.first) : `${ports.first}-${ports.last}`
}
