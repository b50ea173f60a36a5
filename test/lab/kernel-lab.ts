/**
 * A host that forwards, between a client and a target that know nothing of each other: the way back leads through
 * the host only where it hides the client. The engine acts inside the host; sockets are opened where they belong.
 */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import { NaruError } from '../../src/base/errors.ts'
import type { EngineEvent, Resolve } from '../../src/engines/contract.ts'
import { createKernelEngine, type KernelEngine } from '../../src/engines/kernel/index.ts'
import type { KernelLease } from '../../src/engines/kernel/lease.ts'
import { Ports } from '../../src/engines/kernel/held-ports.ts'
import { createSettings, type ProcSys } from '../../src/engines/kernel/proc-sys.ts'
import type { Host } from '../../src/host/contract.ts'
import { socketMaker } from '../../src/linux/udp-connected-twin.ts'
import type { Json } from '../../src/model/hop.ts'
import type { Inheritance } from '../../src/model/handover-sockets.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import { MemoryRecorder } from '../fakes/recorder.ts'
import { enter } from './enter.ts'
import { labHost } from './host.ts'
import { Lab, type LabHost } from './namespaces.ts'

const engineProcess = fileURLToPath(new URL('kernel-process.mjs', import.meta.url))

export const hostAddress = '10.1.0.1'
export const targetAddress = '10.2.0.2'

export class KernelLab implements AsyncDisposable {
  readonly lab = new Lab()
  readonly client: LabHost
  readonly host: LabHost
  readonly target: LabHost
  readonly events: EngineEvent[] = []
  readonly record = new MemoryRecorder()
  /** Bytes of the largest that the UDP servers got. */
  largestDatagram = 0
  readonly machine: Host
  /** The host's switches before any engine. */
  readonly before: Readonly<Record<string, string>>
  readonly #engines: KernelEngine[] = []
  readonly #closers: (() => unknown)[] = []

  constructor({ linkBetween = 'eth1' }: { linkBetween?: string } = {}) {
    this.client = this.lab.host('client')
    this.host = this.lab.host('host')
    this.target = this.lab.host('target')
    this.lab.cable(
      { host: this.client, interface: 'eth0', addresses: ['10.1.0.2/24', '10.1.0.3/24', 'fd01::2/64'] },
      { host: this.host, interface: 'eth0', addresses: [`${hostAddress}/24`, 'fd01::1/64'] },
    )
    this.lab.cable(
      {
        host: this.target,
        interface: 'eth0',
        addresses: [`${targetAddress}/24`, '10.2.0.3/24', 'fd02::2/64'],
      },
      { host: this.host, interface: linkBetween, addresses: ['10.2.0.1/24', 'fd02::1/64'] },
    )
    this.host.sysctl('net/ipv4/ip_forward', '0')
    this.before = this.switches()
    this.machine = labHost(this.host)
  }

  /**
   * An engine as a process of its own would have it: `owner` names one that is dead where it is not this one, `boot`
   * another start of the machine; `readOnly` is a container whose /proc/sys may not be written.
   */
  engine(
    owner?: string,
    { boot, readOnly = false }: { boot?: string; readOnly?: boolean } = {},
  ): KernelEngine {
    const settings = { ...settingsIn(this.host, boot), ...(readOnly && { write: refuseToWrite }) }
    const engine = createKernelEngine({
      host: this.machine,
      clock: systemClock,
      settings,
      ports: new Ports({ inside: (work) => this.inside(work) }),
      ...(owner ? { owner } : {}),
    })
    this.#engines.push(engine)
    return engine
  }

  inside<T>(work: () => T): T {
    using _inside = enter(this.host)
    return work()
  }

  /** Every switch of the host that an engine may turn. */
  switches(): Record<string, string> {
    const told = this.host.run([
      'sh',
      '-c',
      'cd /proc/sys/net && grep -H . ipv4/ip_forward ipv4/conf/*/forwarding ipv4/conf/*/route_localnet ' +
        'ipv4/conf/*/accept_redirects ipv6/conf/*/forwarding ipv6/conf/*/accept_ra netfilter/nf_conntrack_acct',
    ])
    const lines = told.trim().split('\n')
    return Object.fromEntries(lines.map((line) => line.replace(/^ipv4\//, '').split(':') as [string, string]))
  }

  open(
    engine: KernelEngine,
    name: string,
    rule: object,
    resolve: Resolve = neverResolved,
    inherit?: Inheritance,
  ): Promise<KernelLease> {
    const request = {
      rule: parseRule(name, rule),
      resolve,
      ...(inherit && { inherit }),
      onEvent: (event: EngineEvent) => void this.events.push(event),
    }
    return engine.open(request, { signal: AbortSignal.timeout(20_000), record: this.record })
  }

  /**
   * The engine as a process inside the host, which `kill` ends by SIGKILL; it gives what the journal would know.
   * `freeze` stops it where it stands.
   */
  async process(
    rules: Readonly<Record<string, object>>,
  ): Promise<{ kill: () => Promise<readonly Json[]>; freeze: () => void }> {
    const child = this.host.start([process.execPath, engineProcess, JSON.stringify(rules)])
    let said = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    const exited = once(child, 'exit')
    await new Promise<void>((resolve, reject) => {
      child.stdout?.on('data', () => /^ready$/m.test(said) && resolve())
      child.once('exit', () => reject(new Error(said)))
    })
    const kill = async (): Promise<readonly Json[]> => {
      child.kill('SIGKILL')
      await exited
      return [...said.matchAll(/^journal (.*)$/gm)].map(([, effect]) => JSON.parse(effect as string) as Json)
    }
    return { kill, freeze: () => void child.kill('SIGSTOP') }
  }

  /** A TCP server on `host`: says `hello`, then echoes; `peers` are the clients it saw. */
  serve(host: LabHost, port: number, greeting = ''): { server: Server; peers: string[]; sockets: Socket[] } {
    const peers: string[] = []
    const sockets: Socket[] = []
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      peers.push(socket.remoteAddress ?? '')
      sockets.push(socket)
      socket.on('error', () => {})
      if (greeting) socket.write(greeting)
      socket.pipe(socket)
    })
    using _inside = enter(host)
    server.listen(port)
    this.#closers.push(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return { server, peers, sockets }
  }

  async serveUdp(host: LabHost, port: number): Promise<{ socket: DatagramSocket; peers: string[] }> {
    const peers: string[] = []
    const socket = createSocket({ type: 'udp6' })
    using _inside = enter(host)
    socket.bind(port)
    await once(socket, 'listening')
    socket.on('message', (message, peer) => {
      peers.push(peer.address)
      this.largestDatagram = Math.max(this.largestDatagram, message.length)
      socket.send(message, peer.port, peer.address)
    })
    this.#closers.push(() => socket.close())
    return { socket, peers }
  }

  /** Connects from `host`; rejects with the system's error. */
  async dial(
    host: LabHost,
    address: string,
    port: number,
    localAddress?: string,
    ms = 5000,
  ): Promise<Socket> {
    using _inside = enter(host)
    const socket = connect({ host: address, port, ...(localAddress ? { localAddress } : {}) })
    this.#closers.push(() => socket.destroy())
    // Also one that comes after the time is over.
    socket.on('error', () => {})
    await once(socket, 'connect', { signal: AbortSignal.timeout(ms) })
    return socket
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.splice(0)) close()
    for (const engine of this.#engines.splice(0)) await engine.close().catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.lab[Symbol.asyncDispose]()
  }
}

/** What a successor in another process is lent of `lease`: the same sockets by descriptors of its own. */
export function lentBy(lease: KernelLease): Inheritance {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  const dup = koffi.load('libc.so.6').func('int dup(int)') as (fd: number) => number
  const lent = lease.held()
  return {
    begun: Promise.resolve(),
    sockets: socketMaker,
    take(wanted) {
      const found = lent.find(
        ({ protocol, address, port, part }) =>
          protocol === wanted.protocol &&
          address === wanted.address &&
          port === wanted.port &&
          part === wanted.part,
      )
      return found ? dup(found.fd) : null
    },
  }
}

/** One message there and its echo back. */
export async function echoes(socket: Socket, message: string, ms = 5000): Promise<string> {
  socket.write(message)
  const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(ms) })) as [Buffer]
  return chunk.toString()
}

/** One datagram there and its echo back; null where none comes within `ms`. */
export async function echoesUdp(
  host: LabHost,
  address: string,
  port: number,
  message: string,
  ms = 3000,
): Promise<string | null> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  {
    using _inside = enter(host)
    socket.bind(0)
    await once(socket, 'listening')
  }
  try {
    socket.send(message, port, address)
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(ms) })) as [Buffer]
    return answer.toString()
  } catch {
    return null
  } finally {
    socket.close()
  }
}

function refuseToWrite(key: string): never {
  throw new NaruError('NOT_PERMITTED', { what: `set ${key} (EROFS)`, command: 'sudo true' })
}

/** /proc/sys/net is that of whoever opens the file. */
function settingsIn(host: LabHost, boot?: string): ProcSys {
  const settings = createSettings()
  const within = <T>(work: () => T): T => {
    using _inside = enter(host)
    return work()
  }
  return {
    read: (key) =>
      boot !== undefined && key === 'kernel/random/boot_id' ? boot : within(() => settings.read(key)),
    write: (key, value) => within(() => settings.write(key, value)),
    names: (folder) => within(() => settings.names(folder)),
  }
}

export function neverResolved(): Promise<never> {
  return Promise.reject(new Error('a plain address is not resolved'))
}
