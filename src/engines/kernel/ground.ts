/**
 * What all leases stand on: the switches of this machine and the table's guards. Old values are kept, written into
 * each lease's journal entry, and put back when the last Naru's last rule has gone.
 */
import type { Interface } from '../../host/contract.ts'
import type { Family } from '../../base/address.ts'
import { wantedSettings, type Settings } from './settings.ts'
import { command, type Table } from './table.ts'

/** Old values by key: `{ 'net/ipv4/ip_forward': '0' }`. */
export type OldValues = Readonly<Record<string, string>>

export class Ground {
  readonly #settings: Settings
  readonly #table: Table
  readonly #was: Record<string, string> = {}
  readonly #links = new Map<string, Promise<void>>()
  readonly #ready = new Set<Family>()
  readonly #noted = new Set<Family>()
  #turn: Promise<void> = Promise.resolve()

  constructor(settings: Settings, table: Table) {
    this.#settings = settings
    this.#table = table
  }

  /** What stands in the way of packets, switches that somebody turned back; empty where all is well. */
  missing(family: Family): readonly string[] {
    return this.#wanted(family).map(({ key, value }) => `${key.replaceAll('/', '.')}=${value}`)
  }

  /** The values that `prepare` would change, as they are now, and those that were changed before. */
  oldValues(family: Family): OldValues {
    if (!this.#noted.has(family)) {
      for (const { key } of this.#wanted(family)) this.#was[key] ??= this.#settings.read(key) as string
      this.#noted.add(family)
    }
    return { ...this.#was }
  }

  /** Takes over what a predecessor changed, from its journal entry. */
  remember(was: OldValues): void {
    Object.assign(this.#was, was)
  }

  /**
   * Sets the switches. A machine that forwarded nothing goes on forwarding nothing else: the table's chain
   * `strangers` drops what is no forward of anybody's between the interfaces there are now.
   */
  async prepare(family: Family, interfaces: readonly Interface[]): Promise<void> {
    if (this.#ready.has(family)) return
    // Of thousands that open at once, the first does it and the rest find it done.
    const turn = this.#turn.catch(() => {}).then(() => this.#prepare(family, interfaces))
    this.#turn = turn
    await turn
  }

  async #prepare(family: Family, interfaces: readonly Interface[]): Promise<void> {
    if (this.#ready.has(family)) return
    const wanted = this.#wanted(family)
    const names = interfaces.filter(({ kind }) => kind !== 'loopback').map(({ name }) => name)
    if (wanted.some(({ key }) => isForwarding(key)) && names.length > 0)
      await this.#table.apply([command('add', 'element', { name: 'stranger', elem: names })])
    await this.#table.note(Object.fromEntries(wanted.map(({ key }) => [key, this.#settings.read(key) ?? ''])))
    for (const { key, value } of wanted) this.#settings.write(key, value)
    this.#ready.add(family)
  }

  /** The next `prepare` looks at the switches again. */
  recheck(): void {
    this.#ready.clear()
    this.#noted.clear()
  }

  /** Clients on the target's own link get this machine's address: the target would answer them past us. */
  hairpin(link: string): Promise<void> {
    const known = this.#links.get(link)
    if (known) return known
    const elem = [{ concat: [link, link] }]
    const added = this.#table.apply([command('add', 'element', { name: 'hairpin', elem })])
    this.#links.set(link, added)
    added.catch(() => this.#links.delete(link))
    return added
  }

  /** Puts everything back where no Naru has a rule any more. @returns whether it did. */
  async leave(): Promise<boolean> {
    const noted = await this.#table.removeIfEmpty()
    if (noted === null) return false
    this.#links.clear()
    this.#ready.clear()
    this.#noted.clear()
    for (const [key, value] of Object.entries({ ...this.#was, ...noted }).reverse()) {
      this.#settings.write(key, value)
      delete this.#was[key]
    }
    return true
  }

  #wanted(family: Family): ReturnType<typeof wantedSettings> {
    return wantedSettings(this.#settings, { ip4: family === 4, ip6: family === 6 })
  }
}

const isForwarding = (key: string): boolean => /(ip_forward|\/forwarding)$/.test(key)
