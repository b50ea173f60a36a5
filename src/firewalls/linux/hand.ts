/** What differs between those who keep Linux packet filters: how each reads, writes and takes away its own rules. */
import type { Opening, PacketFilter, Packets, ReadOptions } from '../../host/simulate/index.ts'
import type { FirewallOptions, FirewallRequest } from '../contract.ts'

export type Tools = ReadOptions

/** For who only looks: what nobody changed is not read anew. Who changes something reads what is there now. */
export const looking = (
  { runner, filterGeneration: generation }: FirewallOptions['host'],
  signal: AbortSignal,
): Tools => ({ runner, signal, generation })

/** What one keeper of chains does with its own tool. `Entry` is one rule of ours, as the journal has it. */
export interface Hand<Entry> {
  readonly member: string
  /** How many openings one change takes; of more each so many are one. */
  readonly most: number
  /** Rules that let the request in at these places; none where this tool cannot help there. */
  plan(places: readonly Opening[], wanted: WantedOpening, tools: Tools): Promise<Entry[]>
  /** All of them, or throws and some of it is there: whose fault it is finds out who asks for fewer. */
  add(openings: readonly Placed<Entry>[], tools: Tools): Promise<void>
  /** Takes away what carries the tags; what is gone is gone. Throws where some of it could not be. */
  remove(openings: readonly Placed<Entry>[], tools: Tools): Promise<void>
  /** Are all of them still there? */
  held(entries: readonly Entry[], tag: string, filter: PacketFilter, tools: Tools): Promise<boolean>
  /**
   * By which gate each of the packets comes in, where this keeper has several (firewalld: zones) and may lead a packet
   * to another one at any time.
   */
  gates?(filter: PacketFilter, packets: Packets, tools: Tools): Promise<readonly Gate[]>
  /** Where it was opened, for people. */
  where(entries: readonly Entry[]): string
  /** What to type to open it by hand. */
  command(request: FirewallRequest, options: FirewallOptions): string | Promise<string>
}

export interface Gate {
  readonly name: string
  /** Somebody shut it, for all or for this packet; it is no gate that merely lets nothing in that nobody named. */
  readonly isShut: boolean
}

/** Rules of one opening, by what they are found again. */
export interface Placed<Entry> {
  readonly rule: string
  readonly tag: string
  readonly entries: readonly Entry[]
}

export interface WantedOpening {
  readonly request: FirewallRequest
  readonly tag: string
}
