/** The service listens on 127.0.0.1 alone, and the rule (or the router) comes by another address. */
import { say } from '../../base/text.ts'
import type { SocketEntry } from '../../host/contract.ts'
import { defineCheck, listenersAt, type SeenTarget } from './contract.ts'

export const loopbackOnly = defineCheck({
  code: 'loopback-only',
  hop: 'service',
  title: say('the service listens on loopback only'),
  explains: say(
    'The target is one of this machine’s addresses and refuses, while the socket table has the port on 127.0.0.1 or ::1.',
  ),
  remedy: say('let the relay dial 127.0.0.1, or bind the service wider'),
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
            say`${who} listens on ${entry.address}:${target.port} only`,
            say`${target.text} refuses connections`,
          ],
          fixes: [
            {
              text: say('let the rule go to loopback'),
              command: `naru edit ${rule?.name ?? 'NAME'} --target ${entry.family === 6 ? `[::1]:${target.port}` : target.port}`,
              ours: rule !== null,
            },
            { instead: true, text: say('bind the service to 0.0.0.0') },
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
