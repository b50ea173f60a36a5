/** The service takes one family of addresses and the rule comes by the other. */
import { familyOf } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, listenersAt } from './contract.ts'

export const addressFamily = defineCheck({
  code: 'address-family',
  hop: 'service',
  title: say(
    'the service listens for the other IP version',
    '서비스가 다른 IP 버전(IPv4/IPv6)에서만 접속을 받습니다',
  ),
  explains: say(
    'The target refuses by IPv4 while the socket table has the port for IPv6 only (its v6only flag is set), or the other way about.',
    '대상이 IPv4로는 거부하는데 소켓 표에는 그 포트가 IPv6 전용(v6only)으로 열려 있거나, 그 반대입니다.',
  ),
  remedy: say(
    'aim the rule at the family the service has, or let the service take both',
    '서비스가 여는 IP 버전으로 대상을 바꾸거나, 서비스가 둘 다 받게 하세요',
  ),
  cheap: true,
  async look({ look, rule }) {
    const refused = (await look.targets()).filter(
      ({ local, dialled }) => local && dialled?.result === 'refused',
    )
    if (refused.length === 0) return null
    const listeners = await listenersAt(refused, look)
    return refused.flatMap((target) => {
      const asked = familyOf(target.addresses[0] ?? '')
      const there = listeners.filter(
        (entry) => entry.protocol === target.protocol && entry.port === target.port,
      )
      const other = there.find(
        (entry) =>
          entry.family !== asked &&
          (entry.address === '::' ||
            entry.address === '0.0.0.0' ||
            entry.address === '::1' ||
            entry.address.startsWith('127.')),
      )
      if (!other || there.some((entry) => entry.family === asked)) return []
      const way = other.family === 6 ? `[::1]:${target.port}` : `127.0.0.1:${target.port}`
      return [
        {
          evidence: [
            say(
              `port ${target.port} is open for IPv${other.family} only (${other.address})`,
              `${target.port}번 포트는 IPv${other.family}(${other.address})로만 열려 있습니다`,
            ),
            say(
              `${target.text} is dialled by IPv${asked} and refuses`,
              `${target.text}에는 IPv${asked}로 연결하며, 거부됩니다`,
            ),
          ],
          fixes: [
            {
              text: say(`dial it by IPv${other.family}`, `IPv${other.family}로 연결하세요`),
              command: `naru edit ${rule?.name ?? 'NAME'} --target ${way}`,
              ours: rule !== null,
            },
          ],
        },
      ]
    })
  },
})
