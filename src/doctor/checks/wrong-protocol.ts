/** The service speaks UDP and the rule TCP, or the other way about. */
import { say } from '../../base/text.ts'
import { defineCheck, listenersAt, type SeenTarget } from './contract.ts'

export const wrongProtocol = defineCheck({
  code: 'wrong-protocol',
  hop: 'service',
  title: say('the service speaks the other protocol'),
  explains: say(
    'Nobody listens on the target’s port by the rule’s protocol, while the socket table has it by the other.',
  ),
  remedy: say('forward the other protocol, or both'),
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
          evidence: [say`${text}: ${name} listens on ${other} port ${port}, nobody on ${protocol}`],
          fixes: [
            {
              text: say`forward ${other} as well`,
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
