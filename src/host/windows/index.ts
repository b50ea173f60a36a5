/**
 * Windows, read by its own tools: `ipconfig`, `route print`, `netstat -ano`, `tasklist`, `arp`. They answer in
 * 20–60 ms where PowerShell takes a second; PowerShell is asked where one of them says nothing.
 */
import { getServers } from 'node:dns'
import { networkInterfaces } from 'node:os'
import { isNaruError } from '../../base/errors.ts'
import type { Interface, Network, Route, Runner, SocketEntry, Sockets } from '../contract.ts'
import { longestPrefix } from '../longest-prefix.ts'
import { holderText } from '../port-holder.ts'
import { bestFirst, interfacesOfRuntime } from '../ranking.ts'
import { kindOfAdapter, parseIpconfig, type Adapter } from './ipconfig.ts'
import { parseNetConnections, parseNetstat, parseTasklist, type WindowsSocket } from './netstat.ts'
import { parseArp, parseNetRoutes, parseRoutePrint, type WindowsRoute } from './routes.ts'

type Signal = { readonly signal: AbortSignal }

export function windowsNetwork(runner: Runner): Network {
  const adapters = async (how: Signal): Promise<Adapter[]> =>
    parseIpconfig(await output(runner, ['ipconfig', '/all'], how))

  async function interfaces(how: Signal): Promise<readonly Interface[]> {
    const told = await adapters(how)
    const adapterOf = (name: string): Adapter | undefined => told.find((adapter) => adapter.name === name)
    const withAddress = interfacesOfRuntime(networkInterfaces(), (name) =>
      kindOfAdapter(adapterOf(name) ?? { name, description: '' }),
    )
    const named = new Set(withAddress.map(({ name }) => name))
    const without = told.filter(({ name }) => !named.has(name)).map(withoutAddress)
    return [...withAddress, ...without]
  }

  async function routes(how: Signal): Promise<WindowsRoute[]> {
    const printed = parseRoutePrint(await output(runner, ['route', 'print'], how))
    if (printed.length > 0) return printed
    return parseNetRoutes(await powershell(runner, getNetRoute, how))
  }

  async function defaultRoutes(how: Signal): Promise<readonly Route[]> {
    const [devices, found] = await Promise.all([interfaces(how), routes(how)])
    const defaults = found.filter(({ bits }) => bits === 0).map((route) => toRoute(route, devices))
    if (defaults.length > 0) return bestFirst(defaults, devices)
    return bestFirst((await adapters(how)).flatMap(routesOfAdapter), devices)
  }

  async function routeTo(address: string, how: Signal): Promise<Route | null> {
    const [devices, found] = await Promise.all([interfaces(how), routes(how)])
    const route = longestPrefix(address.split('%')[0] as string, found)
    return route ? (bestFirst([toRoute(route, devices)], devices)[0] ?? null) : null
  }

  async function neighbours(
    how: Signal,
  ): Promise<readonly { address: string; mac: string; interface: string }[]> {
    const [devices, text] = await Promise.all([interfaces(how), output(runner, ['arp', '-a'], how)])
    return parseArp(text).map(({ address, mac, via }) => ({ address, mac, interface: nameOf(via, devices) }))
  }

  return { interfaces, defaultRoutes, routeTo, nameServers: () => Promise.resolve(getServers()), neighbours }
}

export function windowsSockets(runner: Runner): Sockets {
  async function read(how: Signal): Promise<WindowsSocket[]> {
    const printed = parseNetstat(await output(runner, ['netstat', '-ano'], how))
    if (printed.length > 0) return printed
    const [tcp, udp] = await Promise.all([
      powershell(
        runner,
        'Get-NetTCPConnection | Select-Object LocalAddress,LocalPort,RemoteAddress,RemotePort,State,OwningProcess',
        how,
      ),
      powershell(runner, 'Get-NetUDPEndpoint | Select-Object LocalAddress,LocalPort,OwningProcess', how),
    ])
    return [...parseNetConnections('tcp', tcp), ...parseNetConnections('udp', udp)]
  }

  async function list({ signal, all = false }: Signal & { all?: boolean }): Promise<readonly SocketEntry[]> {
    const [found, tasks] = await Promise.all([
      read({ signal }),
      output(runner, ['tasklist', '/fo', 'csv', '/nh'], { signal }),
    ])
    const names = parseTasklist(tasks)
    const wanted = found.filter(({ state }) => all || state === 'listening')
    return wanted.map((socket) => toEntry(socket, names, found))
  }

  async function owner(protocol: 'tcp' | 'udp', port: number, how: Signal): Promise<string | null> {
    const held = (await list(how)).filter((entry) => entry.protocol === protocol && entry.port === port)
    return holderText(held.map(({ process }) => process))
  }

  return { list, owner }
}

/** Windows shows a dual-stack listener as two rows of one process, so a lone `[::]` takes IPv6 only. */
function toEntry(
  { pid, ...socket }: WindowsSocket,
  names: Map<number, string>,
  all: readonly WindowsSocket[],
): SocketEntry {
  const wildcard = socket.address === '::' && socket.state === 'listening'
  const alsoIPv4 = all.some(
    (other) =>
      other.family === 4 &&
      other.address === '0.0.0.0' &&
      other.port === socket.port &&
      other.protocol === socket.protocol &&
      other.pid === pid,
  )
  return {
    ...socket,
    v6only: wildcard ? !alsoIPv4 : null,
    // Pid 0 stands for connections whose process is gone.
    process: pid ? { pid, name: names.get(pid) ?? (pid === 4 ? 'System' : 'unknown') } : null,
  }
}

function withoutAddress(adapter: Adapter): Interface {
  const kind = kindOfAdapter(adapter)
  return { name: adapter.name, kind, up: adapter.connected, mac: adapter.mac, index: 0, addresses: [] }
}

function routesOfAdapter({ name, gateways }: Adapter): Route[] {
  return gateways.map((gateway) => ({
    family: gateway.includes(':') ? (6 as const) : (4 as const),
    interface: name,
    gateway,
    source: null,
    metric: 0,
  }))
}

function toRoute({ family, gateway, via, metric }: WindowsRoute, devices: readonly Interface[]): Route {
  return { family, interface: nameOf(via, devices), gateway, source: via.includes('.') ? via : null, metric }
}

/** An interface by one of its addresses or by its index. */
function nameOf(via: string, devices: readonly Interface[]): string {
  const device = devices.find(
    ({ index, addresses }) => String(index) === via || addresses.some(({ address }) => address === via),
  )
  return device?.name ?? via
}

const getNetRoute =
  'Get-NetRoute | Select-Object DestinationPrefix,NextHop,InterfaceIndex,RouteMetric,InterfaceMetric'

/** JSON of what a PowerShell pipeline gives; empty where it gives nothing. */
function powershell(runner: Runner, pipeline: string, how: Signal): Promise<string> {
  const script = `[Console]::OutputEncoding=[Text.Encoding]::UTF8; ${pipeline} | ConvertTo-Json -Compress`
  return output(runner, ['powershell', '-NoProfile', '-NonInteractive', '-Command', script], how)
}

/** What a tool printed; empty where it is missing or failed, since each has another that tells the same. */
async function output(runner: Runner, argv: readonly [string, ...string[]], how: Signal): Promise<string> {
  try {
    const { exit, stdout } = await runner.run(argv, { ...how, limitMs: 8000 })
    return exit === 0 ? stdout : ''
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING', 'COMMAND_FAILED', 'TIMED_OUT')) return ''
    throw error
  }
}
