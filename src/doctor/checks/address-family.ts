/** The service takes one family of addresses and the rule comes by the other. */
import { familyOf } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, listenersAt } from './contract.ts'

export const addressFamily = defineCheck({
  code: 'address-family',
  hop: 'service',
  title: say('the service listens for the other IP version'),
  explains: say(
    'The target refuses by IPv4 while the socket table has the port for IPv6 only (its v6only flag is set), or the other way about.',
  ),
  remedy: say('aim the rule at the family the service has, or let the service take both'),
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
            say`port ${target.port} is open for IPv${other.family} only (${other.address})`,
            say`${target.text} is dialled by IPv${asked} and refuses`,
          ],
          fixes: [
            {
              text: say`dial it by IPv${other.family}`,
              command: `naru edit ${rule?.name ?? 'NAME'} --target ${way}`,
              ours: rule !== null,
            },
          ],
        },
      ]
    })
  },
})
