/** The host firewall hides the router's multicast answers; asked by unicast it is found all the same. */
import { createSocket } from 'node:dgram'
import { systemClock } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

const group = '239.255.255.250'
/** UPnP Device Architecture 1.1 §1.3.2; MX 1, since we wait little longer. */
const search = (host: string): string =>
  `M-SEARCH * HTTP/1.1\r\nHOST: ${host}:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n`
/** MX, and a little for the way. */
const waitMs = 1200

export const ssdpHidden = defineCheck({
  code: 'ssdp-hidden',
  hop: 'firewall',
  severity: 'informs',
  title: say('the host firewall hides the router’s announcements'),
  explains: say(
    'A search by multicast gets no answer, the same search sent straight to the gateway gets one: the packet filter does not connect a multicast question with its answer.',
  ),
  remedy: say('nothing to do: Naru asks by unicast first'),
  async look({ look, routers }) {
    const lan = await look.lan()
    if (!lan?.gateway || !routers.some(({ id }) => id === 'upnp')) return null
    const { address, gateway } = lan
    const [many, one] = await look.shared('ssdp-hidden', (signal) =>
      Promise.all([asked(group, address, signal), asked(gateway, address, signal)]),
    )
    if (many || !one) return null
    return {
      evidence: [say`${lan.gateway} answers unicast SSDP, and nothing comes back for multicast`],
      fixes: [
        {
          text: say('nothing to do: Naru asks by unicast'),
        },
      ],
    }
  },
})

function asked(to: string, from: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const end = (answered: boolean): void => {
      timer[Symbol.dispose]()
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners('message')
      socket.close(() => resolve(answered))
    }
    const onAbort = (): void => end(false)
    const timer = systemClock.after(waitMs, () => end(false))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', () => {})
    socket.once('message', () => end(true))
    socket.bind(0, from, () => {
      try {
        socket.setMulticastInterface(from)
        socket.send(search(to), 1900, to, () => {})
      } catch {
        // The interface has just gone.
        end(false)
      }
    })
  })
}
