/**
 * The machine we run on, behind one contract. Linux is read from /proc and `ip -j`; Windows and macOS are read by
 * their own tools and loaded only there, so that a start stays short.
 */
import type { Facts } from '../model/facts.ts'
import type { Host, Network, Runner, Sockets } from './contract.ts'
import { readFacts } from './facts.ts'
import { createRunner } from './runner.ts'

export interface HostOptions {
  /** @default one that runs commands here */
  readonly runner?: Runner
  /** Linux: whose network is read, such as `/proc/812/net` for that of process 812. @default '/proc/net' */
  readonly procNet?: string
  /** Tests of another system's reading hand in its name. @default process.platform */
  readonly platform?: NodeJS.Platform
}

export function createHost(options: HostOptions = {}): Host {
  const runner = options.runner ?? createRunner()
  const platform = options.platform ?? process.platform
  const here = options.runner === undefined && options.procNet === undefined
  const inspector = once(() => loadInspector(platform, runner, options.procNet, here))
  let facts: Promise<Facts> | null = null
  return {
    facts({ refresh = false } = {}) {
      if (refresh) facts = null
      return (facts ??= readFacts(runner))
    },
    runner,
    network: {
      interfaces: async (how) => (await inspector()).network.interfaces(how),
      defaultRoutes: async (how) => (await inspector()).network.defaultRoutes(how),
      routeTo: async (address, how) => (await inspector()).network.routeTo(address, how),
      nameServers: async (how) => (await inspector()).network.nameServers(how),
      neighbours: async (how) => (await inspector()).network.neighbours(how),
    },
    ...(here && platform === 'linux' && { filterGeneration }),
    sockets: {
      list: async (how) => (await inspector()).sockets.list(how),
      owner: async (protocol, port, how) => (await inspector()).sockets.owner(protocol, port, how),
    },
  }
}

async function filterGeneration(): Promise<string | null> {
  return (await import('../linux/filter-generation.ts')).filterGeneration()
}

/** How one system is read. */
export interface Inspector {
  readonly network: Network
  readonly sockets: Sockets
}

async function loadInspector(
  platform: NodeJS.Platform,
  runner: Runner,
  procNet?: string,
  here = false,
): Promise<Inspector> {
  if (platform === 'win32') {
    const { windowsNetwork, windowsSockets } = await import('./windows/index.ts')
    return { network: windowsNetwork(runner), sockets: windowsSockets(runner) }
  }
  if (platform === 'darwin') {
    const { darwinNetwork, darwinSockets } = await import('./darwin/index.ts')
    return { network: darwinNetwork(runner), sockets: darwinSockets(runner) }
  }
  const { linuxNetwork } = await import('./linux/network.ts')
  const { linuxSockets } = await import('./linux/sockets.ts')
  const tables = procNet ?? '/proc/net'
  return { network: linuxNetwork(runner, tables, here), sockets: linuxSockets(runner, tables, here) }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null
  return () => (made ??= make())
}
