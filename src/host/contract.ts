/** What the rooms ask of the machine. `createHost()` answers for the real one; tests hand in their own. */
import type { Family } from '../base/address.ts'
import type { Protocol } from '../base/port.ts'
import type { Facts } from '../model/facts.ts'

export interface Host {
  /** Read once and kept; `refresh` reads again. */
  facts(options?: { refresh?: boolean }): Promise<Facts>
  readonly runner: Runner
  readonly network: Network
  readonly sockets: Sockets
  /**
   * Which change of the packet filters was the last: while this is the same, so are their rules. Null where nobody tells
   * now; left out where nobody ever does.
   */
  readonly filterGeneration?: () => Promise<string | null>
}

export interface RunOptions {
  readonly signal: AbortSignal
  /** @default 10_000 */
  readonly limitMs?: number
  /** Written to the command's standard input, which is closed after it. */
  readonly input?: string | Uint8Array
  /** Added to the environment, in which LC_ALL=C is set. */
  readonly env?: Readonly<Record<string, string>>
}

export interface RunResult {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs commands: argv arrays, never a shell; output bounded (16 MiB); ended after the limit. */
export interface Runner {
  /** An exit code other than 0 is an answer. @throws NaruError COMMAND_MISSING, TIMED_OUT, ABORTED */
  run(argv: readonly [string, ...string[]], options: RunOptions): Promise<RunResult>
  /** Starts a command that lives as long as it is held, and no longer than this process, also by kill -9. */
  hold(argv: readonly [string, ...string[]], options: HoldOptions): HeldCommand
}

export interface HoldOptions {
  /** It reads its standard input and ends with it; else it is ended by a signal. @default false */
  readonly reads?: boolean
  /** A line of its standard output or of its errors, at most 64 KiB of it. */
  readonly onLine: (line: string) => void
  /** It ended by itself, or could not be started. Called once, and not after `end`. */
  readonly onEnd: (why: string) => void
}

export interface HeldCommand {
  /** Written to its standard input, which stays open. */
  write(text: string): void
  /** Closes its standard input, and ends it where that does not. Resolves once it is gone. */
  end(): Promise<void>
}

export interface Interface {
  readonly name: string
  /** What it is to us: VPN and VM adapters are no way to a router. */
  readonly kind: 'ethernet' | 'wifi' | 'loopback' | 'vpn' | 'vm' | 'container' | 'other'
  readonly up: boolean
  readonly mac: string | null
  readonly index: number
  readonly addresses: readonly InterfaceAddress[]
}

export interface InterfaceAddress {
  readonly family: Family
  readonly address: string
  readonly bits: number
  /** What is no address to tell others: one of a day, one at its end, one that is not ours yet. Absent: none of them, or not told. */
  readonly passing?: 'temporary' | 'deprecated' | 'tentative'
  /** How long it stays ours without another word of the router; absent where it stays, or is not told. */
  readonly validSeconds?: number
}

export interface Route {
  readonly family: Family
  readonly interface: string
  /** Null where the destination is on the link. */
  readonly gateway: string | null
  /** The address we would send from. */
  readonly source: string | null
  readonly metric: number
}

export interface Neighbour {
  readonly address: string
  readonly mac: string
  readonly interface: string
  /** It answered within the last seconds; absent where the system does not tell. */
  readonly fresh?: boolean
}

export interface Network {
  interfaces(options: { signal: AbortSignal }): Promise<readonly Interface[]>
  /** Default routes, best first; VPN and VM adapters last. */
  defaultRoutes(options: { signal: AbortSignal }): Promise<readonly Route[]>
  /** The way to `address`, or null where there is none. */
  routeTo(address: string, options: { signal: AbortSignal }): Promise<Route | null>
  /** DNS servers in the order they are asked. */
  nameServers(options: { signal: AbortSignal }): Promise<readonly string[]>
  /** Neighbours that answered ARP or NDP lately. */
  neighbours(options: { signal: AbortSignal }): Promise<readonly Neighbour[]>
}

export interface SocketEntry {
  readonly protocol: Protocol
  readonly family: Family
  readonly address: string
  readonly port: number
  readonly peer: { readonly address: string; readonly port: number } | null
  /** `listening` also for an unconnected UDP socket. */
  readonly state: 'listening' | 'established' | 'syn-received' | 'other'
  /** An IPv6 wildcard socket that takes no IPv4; null where the system does not tell. */
  readonly v6only: boolean | null
  /** Null where the system does not let us see it. */
  readonly process: { readonly pid: number; readonly name: string } | null
}

export interface Sockets {
  /** `holders: false` spares looking for the processes, where that costs more than the sockets. @default true */
  list(options: { signal: AbortSignal; all?: boolean; holders?: boolean }): Promise<readonly SocketEntry[]>
  /**
   * Who has a port: `nginx (pid 812)`; who listens, and on Linux else who has a connection that left from it. Null where
   * nobody does or it cannot be seen.
   */
  owner(protocol: Protocol, port: number, options: { signal: AbortSignal }): Promise<string | null>
}
