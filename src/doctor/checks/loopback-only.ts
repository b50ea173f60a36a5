/** The service listens on 127.0.0.1 alone, and the rule (or the router) comes by another address. */
import { say } from '../../base/text.ts'
import type { SocketEntry } from '../../host/contract.ts'
import { defineCheck, listenersAt, type SeenTarget } from './contract.ts'

export const loopbackOnly = defineCheck({
  code: 'loopback-only',
  hop: 'service',
  title: say('the service listens on loopback only', '서비스가 루프백(127.0.0.1)에서만 접속을 받습니다'),
  explains: say(
    'The target is one of this machine’s addresses and refuses, while the socket table has the port on 127.0.0.1 or ::1.',
    '대상이 이 컴퓨터의 주소인데 연결을 거부하고, 소켓 표에는 그 포트가 127.0.0.1이나 ::1에만 열려 있습니다.',
  ),
  remedy: say(
    'let the relay dial 127.0.0.1, or bind the service wider',
    '릴레이가 127.0.0.1로 연결하게 하거나, 서비스를 모든 주소에서 열도록 설정하세요',
  ),
  cheap: true,
  async look({ look, rule }) {
    const failing = (await look.targets()).filter(isRefusedHere)
    if (failing.length === 0) return null
    const listeners = await listenersAt(failing, look)
    return failing.flatMap((target) => {
      const loopback = listeners.filter((entry) => isOn(entry, target) && isLoopback(entry.address))
      if (
        loopback.length === 0 ||
        listeners.some((entry) => isOn(entry, target) && !isLoopback(entry.address))
      )
        return []
      const [entry] = loopback as [SocketEntry]
      const who = entry.process ? `${entry.process.name} (pid ${entry.process.pid})` : 'it'
      return [
        {
          evidence: [
            say(
              `${who} listens on ${entry.address}:${target.port} only`,
              `${who}: ${entry.address}:${target.port}에서만 접속을 받습니다`,
            ),
            say(`${target.text} refuses connections`, `${target.text}에서 연결을 거부합니다`),
          ],
          fixes: [
            {
              text: say('let the rule go to loopback', '규칙의 대상을 루프백으로 바꾸세요'),
              command: `naru edit ${rule?.name ?? 'NAME'} --target ${entry.family === 6 ? `[::1]:${target.port}` : target.port}`,
              ours: rule !== null,
            },
            { text: say(`or bind the service to 0.0.0.0`, '또는 서비스가 0.0.0.0에서 열리도록 설정하세요') },
          ],
        },
      ]
    })
  },
})

function isRefusedHere({ local, addresses, dialled }: SeenTarget): boolean {
  return local && dialled?.result === 'refused' && addresses.some((address) => !isLoopback(address))
}

const isOn = (entry: SocketEntry, target: SeenTarget): boolean =>
  entry.protocol === target.protocol && entry.port === target.port

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'
