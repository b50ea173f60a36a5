/**
 * A network of our own on one machine: hosts are network namespaces, cables are veth pairs. Every name carries the
 * test process's own prefix; everything is removed at the end, and what a killed run left behind at the next start.
 * Needs root on Linux.
 */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { existsSync } from 'node:fs'

const prefix = `nl${process.pid}`
let count = 0

export class Lab implements AsyncDisposable {
  readonly #name = `${prefix}x${count++}`
  readonly #hosts: LabHost[] = []
  #cables = 0

  constructor() {
    removeLeftOvers()
  }

  get hosts(): readonly LabHost[] {
    return this.#hosts
  }

  /** A machine of the lab with its own loopback, up. */
  host(name: string): LabHost {
    const host = new LabHost(`${this.#name}-${name}`, name)
    this.#hosts.push(host)
    return host
  }

  /**
   * A cable between two hosts. Each end is named and may carry addresses (`192.168.1.1/24`, `2001:db8::1/64`).
   * Interface names are at most 15 bytes.
   */
  cable(a: CableEnd, b: CableEnd): void {
    const [one, other] = [`${this.#name}a${this.#cables}`, `${this.#name}b${this.#cables++}`]
    ip('link', 'add', one, 'type', 'veth', 'peer', 'name', other)
    for (const [device, end] of [
      [one, a],
      [other, b],
    ] as const) {
      ip('link', 'set', device, 'netns', end.host.namespace)
      ip('-n', end.host.namespace, 'link', 'set', device, 'name', end.interface)
      for (const address of end.addresses ?? []) {
        const fast = address.includes(':') ? ['nodad'] : []
        ip('-n', end.host.namespace, 'address', 'add', address, 'dev', end.interface, ...fast)
      }
      ip('-n', end.host.namespace, 'link', 'set', end.interface, 'up')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.stop()))
    for (const host of this.#hosts) removeNamespace(host.namespace)
  }
}

export interface CableEnd {
  readonly host: LabHost
  readonly interface: string
  readonly addresses?: readonly string[]
}

export class LabHost {
  readonly namespace: string
  readonly name: string
  readonly #children = new Set<ChildProcess>()

  constructor(namespace: string, name: string) {
    this.namespace = namespace
    this.name = name
    ip('netns', 'add', namespace)
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
  }

  /** Runs a command here to its end. @returns its standard output. @throws where it fails or takes over 30 s. */
  run(argv: readonly string[], options: { input?: string } = {}): string {
    return execFileSync('ip', ['netns', 'exec', this.namespace, ...argv], {
      encoding: 'utf8',
      timeout: 30_000,
      input: options.input ?? '',
      stdio: ['pipe', 'pipe', 'pipe'],
      maxBuffer: 64 * 1024 * 1024,
    })
  }

  /** Starts a command here that lives until `stop` or the end of the lab. */
  start(argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** `ip -n HERE …`, such as `ip('route', 'add', 'default', 'via', '192.168.1.1')`. */
  ip(...args: string[]): string {
    return ip('-n', this.namespace, ...args)
  }

  /** Sets a sysctl of this host: `sysctl('net/ipv4/ip_forward', '1')`. */
  sysctl(key: string, value: string): void {
    this.run(['sh', '-c', 'printf %s "$2" > "/proc/sys/$1"', 'sh', key, value])
  }

  /** Every process that is here. */
  pids(): number[] {
    return ip('netns', 'pids', this.namespace).split('\n').filter(Boolean).map(Number)
  }

  /** Ends every process started here, by pid. */
  async stop(): Promise<void> {
    await Promise.all([...this.#children].map(end))
  }
}

/** Ends one child: SIGTERM, and SIGKILL after 3 s. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
  await gone
  clearTimeout(timer)
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', timeout: 10_000, stdio: ['ignore', 'pipe', 'pipe'] })
}

function removeNamespace(name: string): void {
  try {
    const pids = ip('netns', 'pids', name).split('\n').filter(Boolean)
    for (const pid of pids) process.kill(Number(pid), 'SIGKILL')
  } catch {
    // Nobody is left in it.
  }
  ip('netns', 'delete', name)
}

/** Namespaces of test processes that no longer live; another test process may be removing them too. */
function removeLeftOvers(): void {
  const names = ip('netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
  for (const name of names) {
    const pid = /^nl(\d+)x/.exec(name)?.[1]
    if (!pid || existsSync(`/proc/${pid}`)) continue
    try {
      removeNamespace(name)
    } catch (error) {
      if (existsSync(`/run/netns/${name}`)) throw error
    }
  }
}
