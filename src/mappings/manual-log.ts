/**
 * What was mapped by hand and only its maker can take away: PCP wants the nonce, a pinhole its number, NAT-PMP the
 * internal port, and none of them has a list. Kept in a file of its own until it is removed or its lease ends.
 */
import type { Clock } from '../base/clock.ts'
import type { Protocol } from '../base/port.ts'
import type { Json, Recorder } from '../model/hop.ts'
import { Journal } from '../instance/journal.ts'

export interface ManualMapping {
  readonly id: number
  readonly name: string
  /** The member that made it, and what it needs to undo it. */
  readonly via: string
  readonly effect: Json
  readonly router: string
  readonly protocol: Protocol
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  /** Milliseconds since the Unix epoch; null is permanent. */
  readonly until: number | null
}

export type ManualRequest = Omit<ManualMapping, 'id' | 'effect' | 'until'> & { readonly leaseSeconds: number }

/** What is written while it is made, and once it is. */
export interface ManualRecord extends Recorder {
  granted(externalPort: number, until: number | null): Promise<void>
}

export class ManualLog implements AsyncDisposable {
  readonly #journal: Journal
  readonly #clock: Clock

  private constructor(journal: Journal, clock: Clock) {
    this.#journal = journal
    this.#clock = clock
  }

  /** @throws NaruError STATE_FOLDER */
  static async open(path: string, clock: Clock): Promise<ManualLog> {
    return new ManualLog(await Journal.open(path), clock)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#journal.close()
  }

  /** Those whose lease still runs; the others are struck out. */
  async list(): Promise<readonly ManualMapping[]> {
    const all = this.#journal.live().map(({ id, rule, member, effect }) => ({
      ...(effect as unknown as Omit<ManualMapping, 'id' | 'name' | 'via'>),
      id,
      name: rule,
      via: member,
    }))
    const over = all.filter(({ until }) => until !== null && until < this.#clock.now())
    for (const { id } of over) await this.#journal.undone(id)
    return all.filter((each) => !over.includes(each))
  }

  removed({ id }: ManualMapping): Promise<void> {
    return this.#journal.undone(id)
  }

  record({ name, via, leaseSeconds, ...wish }: ManualRequest): ManualRecord {
    const kept = this.#journal.recorder({ rule: name, hop: 'router', member: via })
    // Who is ended before the router answers leaves what it asked for.
    let entry: { [key: string]: Json } = { ...wish, until: this.#clock.now() + leaseSeconds * 1000 }
    let written: Awaited<ReturnType<Recorder['intend']>> | null = null
    const write = async (change: { [key: string]: Json }): Promise<void> => {
      entry = { ...entry, ...change }
      await written?.amend(entry)
    }
    return {
      async intend(effect) {
        entry = { ...entry, effect }
        const line = (written = await kept.intend(entry))
        return { amend: (next) => write({ effect: next }), undone: () => line.undone() }
      },
      granted: (externalPort, until) => write({ externalPort, until }),
    }
  }
}
