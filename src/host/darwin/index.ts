/** macOS, read by `lsof`, `route -n get`, `arp` and the runtime. */
import { getServers } from 'node:dns'
import { networkInterfaces } from 'node:os'
import { familyOf, type Family } from '../../base/address.ts'
import { isNaruError } from '../../base/errors.ts'
import type { Interface, Network, Route, Runner, SocketEntry, Sockets } from '../contract.ts'
import { holderText } from '../port-holder.ts'
import { bestFirst, interfacesOfRuntime } from '../ranking.ts'
import { kindOfDevice, parseArp, parseLsof, parseRouteGet, parseWifiDevices } from './parse.ts'

type Signal = { readonly signal: AbortSignal }

export function darwinNetwork(runner: Runner): Network {
  async function interfaces(how: Signal): Promise<readonly Interface[]> {
    const wifi = parseWifiDevices(await output(runner, ['networksetup', '-listallhardwareports'], how))
    return interfacesOfRuntime(networkInterfaces(), (name) => kindOfDevice(name, wifi))
  }

  async function get(target: string, family: Family, how: Signal): Promise<Route | null> {
    const flag = family === 6 ? ['-inet6'] : []
    return parseRouteGet(await output(runner, ['route', '-n', 'get', ...flag, target], how), family)
  }

  async function defaultRoutes(how: Signal): Promise<readonly Route[]> {
    const [devices, four, six] = await Promise.all([
      interfaces(how),
      get('default', 4, how),
      get('default', 6, how),
    ])
    const found = [four, six].filter((route) => route !== null)
    return bestFirst(found, devices)
  }

  async function routeTo(address: string, how: Signal): Promise<Route | null> {
    const route = await get(address, familyOf(address), how)
    return route ? (bestFirst([route], await interfaces(how))[0] ?? null) : null
  }

  const neighbours = async (how: Signal): Promise<ReturnType<typeof parseArp>> =>
    parseArp(await output(runner, ['arp', '-an'], how))

  return { interfaces, defaultRoutes, routeTo, nameServers: () => Promise.resolve(getServers()), neighbours }
}

export function darwinSockets(runner: Runner): Sockets {
  async function list({ signal, all = false }: Signal & { all?: boolean }): Promise<readonly SocketEntry[]> {
    const listeners = all ? ['-iTCP'] : ['-iTCP', '-sTCP:LISTEN']
    const text = await output(runner, ['lsof', '-nP', ...listeners, '-iUDP', '-F', 'pcfntPT'], { signal })
    return parseLsof(text).filter(({ state }) => all || state === 'listening')
  }

  async function owner(protocol: 'tcp' | 'udp', port: number, how: Signal): Promise<string | null> {
    const held = (await list(how)).filter((entry) => entry.protocol === protocol && entry.port === port)
    return holderText(held.map(({ process }) => process))
  }

  return { list, owner }
}

/** lsof ends with 1 also where it merely found nothing, so what was printed counts. */
async function output(runner: Runner, argv: readonly [string, ...string[]], how: Signal): Promise<string> {
  try {
    return (await runner.run(argv, { ...how, limitMs: 8000 })).stdout
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING', 'COMMAND_FAILED', 'TIMED_OUT')) return ''
    throw error
  }
}
