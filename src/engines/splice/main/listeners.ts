/**
 * A rule's listening sockets, opened on the main thread and lent to the threads. TCP has one a port, which all
 * threads accept from; UDP has one a thread, between which the kernel spreads clients (SO_REUSEPORT), but for rules
 * that count sessions and for wide ranges, where a port has one.
 */
import { getSystemErrorName } from 'node:util'
import { formatEndpoint } from '../../../base/address.ts'
import type { InetListen, Listen } from '../../../model/listen.ts'
import type { Inheritance } from '../../../model/handover-sockets.ts'
import { everyPort } from '../../../base/port.ts'
import { listenError } from '../../../relay/listen-error.ts'
import { clearStalePath } from '../../../relay/unix-path.ts'
import {
  bind,
  close,
  Descriptor,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  familyInet6,
  familyUnix,
  listen as listenOn,
  localAddress,
  lastAddress,
  openSocket,
  setKeepalive,
  setOption,
} from '../../../linux/libc.ts'
import { isTaken } from '../../../host/linux/udp-bind.ts'
import {
  portOf,
  sockaddrOf,
  sockaddrOfPath,
  socketFamily,
  type Sockaddr,
} from '../../../linux/sockaddr-fields.ts'

export interface Listener {
  readonly socket: Descriptor
  readonly protocol: 'tcp' | 'udp' | 'unix'
  /** `*` for every address, an address, or a path. */
  readonly address: string
  /** Among the rule's ports; 0 for a Unix socket. */
  readonly port: number
  /** `*:8888/tcp`, `127.0.0.1:53/udp`, `unix:/run/x.sock`. */
  readonly label: string
  /** The one thread that may use it; null where all do. */
  readonly thread: number | null
  /** Among several sockets of one port. */
  readonly part: number
}

export interface ListenOptions {
  readonly threads: number
  /**
   * A port's clients are all on one thread: the session that was silent longest, which makes room for a newer one, is
   * then the rule's own and not merely its thread's.
   */
  readonly together: boolean
  readonly keepaliveMs: number
  /** Who holds an address that is in use: `nginx (pid 812)`. */
  readonly owner: (protocol: 'tcp' | 'udp', port: number) => Promise<string | null>
  /** Sockets of the process whose place this one takes. */
  readonly inherit: Inheritance | undefined
}

const backlog = 65_535
/** A burst must survive a turn of the loop; the system caps it (`net.core.rmem_max`). */
const datagramBufferBytes = 4 << 20
/** A rule with more UDP ports than this spreads its ports over the threads, and not each port's clients. */
const mostSharedPorts = 64

/** All of a rule's sockets, or none. @throws NaruError LISTEN_… */
export async function openListeners(listen: Listen, options: ListenOptions): Promise<Listener[]> {
  if (listen.kind === 'unix') return [await openUnix(listen.path, options)]
  const opened: Listener[] = []
  try {
    for (const protocol of listen.protocols) {
      for (const port of everyPort(listen.ports)) {
        if (protocol === 'tcp') opened.push(await openTcp(listen, port, options))
        else opened.push(...(await openUdp(listen, port, options)))
      }
    }
    return opened
  } catch (error) {
    for (const { socket } of opened) close(socket)
    throw error
  }
}

async function openUnix(path: string, { inherit }: ListenOptions): Promise<Listener> {
  const label = `unix:${path}`
  const about = { protocol: 'unix', address: path, port: 0, part: 0 } as const
  const inherited = inherit?.take(about) ?? null
  if (inherited !== null) return { ...about, socket: Descriptor.adopt(inherited), label, thread: null }
  await clearStalePath(path)
  const socket = openSocket(familyUnix, 'stream')
  if (typeof socket === 'number') throw await listenError(systemError(socket), label, nobody)
  const result = bind(socket, sockaddrOfPath(path)) || listenOn(socket, backlog)
  if (result === 0) return { ...about, socket, label, thread: null }
  close(socket)
  throw await listenError(systemError(result), label, nobody)
}

async function openTcp(listen: InetListen, port: number, options: ListenOptions): Promise<Listener> {
  const about = { protocol: 'tcp', address: listen.address ?? '*', thread: null, part: 0 } as const
  const inherited = options.inherit?.take({ ...about, port }) ?? null
  if (inherited !== null) {
    const socket = Descriptor.adopt(inherited)
    setOption(socket, 'noDelay', 1)
    setKeepalive(socket, options.keepaliveMs)
    return { ...about, socket, port, label: labelOf(listen, port, 'tcp') }
  }
  const made = bound(listen.address, port, 'stream', (socket) => {
    setOption(socket, 'reuseAddress', 1)
    // The sockets that are accepted inherit these (tcp(7)).
    setOption(socket, 'noDelay', 1)
    setKeepalive(socket, options.keepaliveMs)
  })
  const result = typeof made === 'number' ? made : listenOn(made.socket, backlog)
  if (typeof made !== 'number' && result === 0)
    return { ...about, ...made, label: labelOf(listen, made.port, 'tcp') }
  if (typeof made !== 'number') close(made.socket)
  throw await listenFailure(result, listen, port, 'tcp', options)
}

/**
 * The first is bound without SO_REUSEPORT, so that a port that someone else has is seen as taken; after that our
 * own others may join it.
 */
async function openUdp(listen: InetListen, port: number, options: ListenOptions): Promise<Listener[]> {
  const one = options.together || listen.ports.last - listen.ports.first >= mostSharedPorts
  const about = { protocol: 'udp', address: listen.address ?? '*' } as const
  const opened = inheritUdp(listen, port, options, one)
  for (let thread = opened.length; thread < (one ? 1 : options.threads); thread++) {
    const make = (beside: boolean) =>
      bound(listen.address, opened[0]?.port ?? port, 'datagram', (socket) => {
        prepareDatagrams(socket, listen)
        if (beside) setOption(socket, 'reusePort', 1)
      })
    let made = make(thread > 0)
    // Sockets that hear one client each, of sessions that outlive their rule, are no obstacle.
    if (made === -EADDRINUSE && thread === 0 && !isTaken(listen.address ?? '*', port)) made = make(true)
    if (typeof made === 'number') {
      for (const { socket } of opened) close(socket)
      throw await listenFailure(made, listen, port, 'udp', options)
    }
    if (options.threads > 1 && !one) setOption(made.socket, 'reusePort', 1)
    const label = labelOf(listen, made.port, 'udp')
    const mine = one ? port % options.threads : thread
    opened.push({ ...about, ...made, label, thread: mine, part: thread })
  }
  return opened
}

function prepareDatagrams(socket: Descriptor, listen: InetListen): void {
  setOption(socket, 'receiveBuffer', datagramBufferBytes)
  // A dual-stack socket is told by both: only the IPv4 one names our own address where a broadcast was asked.
  if (listenFamily(listen.address) === familyInet6) setOption(socket, 'packetInfo6', 1)
  setOption(socket, 'packetInfo4', 1)
  setOption(socket, 'groReceive', 1)
}

/** All that there are, also where there were more threads before: the kernel spreads clients over each of them. */
function inheritUdp(listen: InetListen, port: number, options: ListenOptions, one: boolean): Listener[] {
  const taken: Listener[] = []
  const about = { protocol: 'udp', address: listen.address ?? '*', port } as const
  for (let part = 0; ; part++) {
    const fd = options.inherit?.take({ ...about, part }) ?? null
    if (fd === null) return taken
    const thread = (one ? port : part) % options.threads
    const label = labelOf(listen, port, 'udp')
    const socket = Descriptor.adopt(fd)
    prepareDatagrams(socket, listen)
    taken.push({ ...about, socket, label, thread, part })
  }
}

/** A machine without IPv6 still has every IPv4 address. */
function bound(
  address: string | null,
  port: number,
  kind: 'stream' | 'datagram',
  prepare: (socket: Descriptor) => void,
): { socket: Descriptor; port: number } | number {
  const result = boundTo(address ?? '::', address === null, port, kind, prepare)
  const noIpv6 = result === -EAFNOSUPPORT || result === -EADDRNOTAVAIL
  return address === null && noIpv6 ? boundTo('0.0.0.0', false, port, kind, prepare) : result
}

function boundTo(
  address: string,
  bothFamilies: boolean,
  port: number,
  kind: 'stream' | 'datagram',
  prepare: (socket: Descriptor) => void,
): { socket: Descriptor; port: number } | number {
  const socket = openSocket(socketFamily(address), kind)
  if (typeof socket === 'number') return socket
  if (address.includes(':')) setOption(socket, 'v6Only', bothFamilies ? 0 : 1)
  prepare(socket)
  const sockaddr: Sockaddr = sockaddrOf(address, port)
  const result = bind(socket, sockaddr)
  if (result < 0) {
    close(socket)
    return result
  }
  localAddress(socket)
  return { socket, port: portOf(lastAddress()) }
}

function listenFamily(address: string | null): number {
  return socketFamily(address ?? '::')
}

/** `*` in place of the address where both families come in. */
function labelOf({ address }: InetListen, port: number, protocol: 'tcp' | 'udp'): string {
  return `${address === null ? `*:${port}` : formatEndpoint(address, port)}/${protocol}`
}

function listenFailure(
  result: number,
  listen: InetListen,
  port: number,
  protocol: 'tcp' | 'udp',
  options: ListenOptions,
): Promise<Error> {
  const label = formatEndpoint(listen.address ?? '::', port)
  return listenError(systemError(result), label, () => options.owner(protocol, port))
}

/** @param result an errno below zero */
function systemError(result: number): Error {
  const code = getSystemErrorName(result)
  return Object.assign(new Error(code), { code })
}

function nobody(): Promise<null> {
  return Promise.resolve(null)
}
