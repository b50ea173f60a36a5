/**
 * What all leases stand on: the switches of this machine and the guards that keep it as closed as it was. Guards stand
 * before a switch is turned and until it is back. Old values are kept here, in the table and in each lease's journal
 * entry, and put back when the last Naru's last rule has gone.
 */
import type { Family } from '../../base/address.ts'
import { messageOf, NaruError } from '../../base/errors.ts'
import { isPlainName, protoOf, type Closed, type Guard } from './guard.ts'
import {
  changedAlong,
  forwarding6,
  forwardingOf,
  forwards4,
  inOrder,
  interfaces4,
  isOurSwitch,
  localnet,
  wantedSettings,
  type ProcSys,
} from './proc-sys.ts'
import { command, type KernelTable } from './nft-table.ts'

/** Old values by key: `{ 'net/ipv4/conf/eth0/forwarding': '0' }`. */
export type OldValues = Readonly<Record<string, string>>

/** Never written: that it was 0 and is 1 says that somebody else wants this machine to forward. */
const everywhere4 = 'net/ipv4/ip_forward'

export interface SysctlsParts {
  readonly settings: ProcSys
  readonly table: KernelTable
  readonly guard: Guard
  /** Whether this process has a rule. Asked when it comes to it: what waited in line may be wanted no more, or again. */
  readonly hasRules: () => boolean
}

export class Sysctls {
  readonly #settings: ProcSys
  readonly #table: KernelTable
  readonly #guard: Guard
  readonly #hasRules: () => boolean
  readonly #was = new Map<string, string>()
  /** `#was` for journals: one object for the thousands that open at once. */
  #told: OldValues | null = null
  readonly #links = new Map<string, Promise<void>>()
  readonly #ready = new Set<Family>()
  readonly #noted = new Set<Family>()
  /** What the table's guard lets pass, and in which making of the table. */
  #closedTo = ''
  #turn: Promise<void> = Promise.resolve()
  /** Another process has what this one stood for. */
  #abandoned = false

  constructor({ settings, table, guard, hasRules }: SysctlsParts) {
    this.#settings = settings
    this.#table = table
    this.#guard = guard
    this.#hasRules = hasRules
  }

  /** What stands in the way of packets, switches that somebody turned back; empty where all is well. */
  missing(family: Family): readonly string[] {
    return this.#wanted(family).map(({ key, value }) => `${key.replaceAll('/', '.')}=${value}`)
  }

  /** The values that `prepare` would change, as they are now, and those that were changed before. */
  async oldValues(family: Family): Promise<OldValues> {
    // Of thousands that open at once, the first looks and the rest find it looked at.
    if (!this.#noted.has(family)) await this.#inTurn(() => this.#noteFirst(family))
    return (this.#told ??= Object.fromEntries(this.#was))
  }

  /** Takes over what a predecessor changed, from its journal entry, as long as this process has rules: `prepare` again. */
  remember(was: OldValues): void {
    for (const [key, value] of Object.entries(was))
      if (isNote(key, value) && !this.#was.has(key)) {
        this.#was.set(key, value)
        this.#told = null
        this.recheck()
      }
  }

  /** Closes the machine but for our connections, then sets the switches. */
  async prepare(family: Family): Promise<void> {
    if (this.#ready.has(family)) return
    // Of thousands that open at once, the first does it and the rest find it done.
    await this.#inTurn(() => this.#prepare(family))
  }

  /** The next `prepare` looks at the switches again. */
  recheck(): void {
    this.#ready.clear()
    this.#noted.clear()
  }

  /** The table has gone with its guard. Without the other guard nothing may be forwarded until it is back. */
  tableLost(): void {
    if (!this.#guard.stands) this.#putBack()
    this.#table.lost()
    this.#closedTo = ''
    this.recheck()
  }

  /** The guard that no flush takes away has gone. */
  async guardLost(): Promise<void> {
    if (!(await this.#table.isThere().catch(() => false))) this.#putBack()
    this.recheck()
  }

  /** Clients on the target's own link get this machine's address: the target would answer them past us. */
  hairpin(link: string): Promise<void> {
    const known = this.#links.get(`${link} ${this.#table.making}`)
    if (known) return known
    const elem = [{ concat: [link, link] }]
    const added = this.#table.apply([command('add', 'element', { name: 'hairpin', elem })])
    const key = `${link} ${this.#table.making}`
    this.#links.set(key, added)
    added.catch(() => this.#links.delete(key))
    return added
  }

  /**
   * Puts everything back where no Naru has a rule any more. Guards go last. @returns whether it did.
   * @throws NaruError NOT_PERMITTED where a switch does not go back: then the guards stay.
   */
  async leave(): Promise<boolean> {
    let left = false
    await this.#inTurn(async () => {
      if (this.#hasRules()) return
      // A rule that opens from here on waits for its turn, and prepares everything anew.
      this.recheck()
      // Whoever has a rule yet holds a guard of its own.
      if (!(await this.#table.isEmpty())) return this.#guard.end()
      await this.#learn()
      const stuck = this.#putBack()
      if (stuck) throw stuck
      await this.#table.remove()
      await this.#guard.end()
      this.#was.clear()
      this.#told = null
      this.#links.clear()
      this.#closedTo = ''
      this.recheck()
      left = true
    })
    return left
  }

  /** Ends this side alone: what is under way puts up no guard any more. */
  async abandon(): Promise<void> {
    this.#abandoned = true
    await this.#inTurn(() => this.#guard.end())
  }

  async #noteFirst(family: Family): Promise<void> {
    if (this.#noted.has(family)) return
    await this.#learn()
    this.#note(family)
    this.#noted.add(family)
  }

  async #prepare(family: Family): Promise<void> {
    if (this.#ready.has(family) || this.#abandoned) return
    // Whoever looked after a rule that has ended meanwhile would switch on what nobody turns off again.
    if (!this.#hasRules()) return
    // What was put into a table that is gone by now, its notes and its guard, is put into the next.
    let making
    do {
      await this.#learn()
      this.#note(family)
      await this.#table.note(Object.fromEntries(this.#was))
      making = this.#table.making
      await this.#close()
      // Whoever noted more meanwhile closed more, too, which what was written here may have undone.
      // What came up meanwhile would be turned unnoted, and the next look would take it for one that forwarded before.
    } while (this.#table.making !== making || (await this.#table.hasMoreNotes()) || this.#isNews(family))
    // A successor may have put everything back by now.
    if (this.#abandoned) return
    for (const { key, value } of this.#wanted(family)) this.#settings.write(key, value)
    this.#ready.add(family)
  }

  /** Something is to be turned of which no note says what it was. */
  #isNews(family: Family): boolean {
    return this.#wanted(family).some(({ key }) => !this.#was.has(key))
  }

  /** What other Narus noted in the table, and where a flush took that away, what their guards close. */
  async #learn(): Promise<void> {
    // In this order: whoever closes a guard has noted all of it before.
    const guards = await this.#guard.others().catch(() => [])
    await this.#table.hasMoreNotes()
    const notes = await this.#table.notes()
    this.#told = null
    for (const [key, value] of notes) if (isNote(key, value) && !this.#was.has(key)) this.#was.set(key, value)
    for (const closed of guards) this.#takeClosed(closed)
    if (this.#was.get(everywhere4) === '0' && this.#settings.read(everywhere4) === '1')
      for (const key of this.#was.keys()) if (key === everywhere4 || forwards4(key)) this.#was.delete(key)
  }

  /** What another Naru keeps closed was off before it, and is its work where it is on. */
  #takeClosed({ families, open }: Closed): void {
    const wasOff = (key: string): void => {
      const isOn = (this.#settings.read(key) ?? '0') !== '0'
      if (isOn && !this.#was.has(key)) this.#was.set(key, '0')
    }
    if (families.length > 0) wasOff(localnet)
    if (families.includes(6)) wasOff(forwarding6)
    if (!families.includes(4) || this.#settings.read(everywhere4) !== '0') return
    if (!this.#was.has(everywhere4)) this.#was.set(everywhere4, '0')
    for (const name of interfaces4(this.#settings))
      if (isPlainName(name) && !open[4].includes(name)) wasOff(forwardingOf(4, name))
  }

  #note(family: Family): void {
    this.#told = null
    for (const wanted of this.#wanted(family)) {
      for (const key of [...changedAlong(this.#settings, wanted), wanted.key])
        if (!this.#was.has(key)) this.#was.set(key, this.#settings.read(key) ?? '')
      const everywhere = this.#settings.read(everywhere4)
      if (forwards4(wanted.key) && everywhere === '0') this.#was.set(everywhere4, everywhere)
    }
  }

  /** Both guards let pass what this machine forwarded before, and our connections. */
  async #close(): Promise<void> {
    const closed = this.#closed()
    const needed = closed.families.length > 0 || this.#was.get(localnet) === '0'
    if (needed) {
      // Where this nft cannot, the table's guard stands alone, and its loss turns everything off at once.
      await this.#guard.hold(closed).catch(() => this.#guard.end())
    } else await this.#guard.end()
    const wanted = `${JSON.stringify(closed)} ${this.#table.making}`
    if (this.#closedTo === wanted) return
    const { families, open } = closed
    const set = (name: string, elem: readonly string[]): ReturnType<typeof command>[] =>
      elem.length === 0 ? [] : [command('add', 'element', { name, elem })]
    await this.#table.apply([
      command('flush', 'set', { name: 'closed' }),
      command('flush', 'set', { name: 'open4' }),
      command('flush', 'set', { name: 'open6' }),
      ...set('closed', families.map(protoOf)),
      ...set('open4', open[4]),
      ...set('open6', open[6]),
    ])
    this.#closedTo = `${JSON.stringify(closed)} ${this.#table.making}`
  }

  #closed(): Closed {
    const switched4 = [...this.#was].some(([key, value]) => forwards4(key) && value === '0')
    const on = (key: string): boolean => (this.#settings.read(key) ?? '0') !== '0'
    const open4 = interfaces4(this.#settings).filter(
      (name) => !this.#was.has(forwardingOf(4, name)) && on(forwardingOf(4, name)),
    )
    // Linux 6.17: an interface may forward IPv6 although the machine does not.
    const open6 = this.#settings
      .names('net/ipv6/conf')
      .filter((name) => name !== 'all' && on(`net/ipv6/conf/${name}/force_forwarding`))
    return {
      families: [
        ...(switched4 ? [4 as const] : []),
        ...(this.#was.get(forwarding6) === '0' ? [6 as const] : []),
      ],
      open: { 4: open4.filter(isPlainName), 6: open6.filter(isPlainName) },
    }
  }

  /** @returns why one did not go back */
  #putBack(): NaruError | null {
    let stuck: NaruError | null = null
    for (const key of inOrder([...this.#was.keys()])) {
      const value = this.#was.get(key) ?? ''
      if (key === everywhere4 || !isOurSwitch(key, value)) continue
      // What was never turned, as under a read-only /proc/sys, need not be turned back.
      if (this.#settings.read(key) === value) continue
      try {
        this.#settings.write(key, value)
        const now = this.#settings.read(key)
        if (now !== null && now !== value) throw new Error(`it is ${now}`)
      } catch (error) {
        const what = `set ${key.replaceAll('/', '.')} back to ${value} (${messageOf(error)})`
        const command = `sudo sysctl -w ${key.replaceAll('/', '.')}=${value}`
        stuck ??= new NaruError('NOT_PERMITTED', { what, command }, { cause: error })
      }
    }
    return stuck
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.catch(() => {}).then(work)
    this.#turn = turn
    return turn
  }

  #wanted(family: Family): ReturnType<typeof wantedSettings> {
    return wantedSettings(this.#settings, { ip4: family === 4, ip6: family === 6 })
  }
}

const isNote = (key: string, value: string): boolean =>
  isOurSwitch(key, value) || (key === everywhere4 && value === '0')
