/**
 * Our table as this process knows it, and the queue of its changes: jobs that meet become one transaction, since nft
 * takes 12 ms for one element and 0.3 s for ten thousand. What a dead Naru left is replaced in the same transaction
 * that takes it over, so that no client meets a closed port between the two.
 */
import { isNaruError, messageOf, NaruError } from '../../base/errors.ts'
import { addressBytes, addressFromBytes } from '../../base/address.ts'
import { withLimit } from '../../base/clock.ts'
import { ownerLives } from '../../linux/process-identity.ts'
import type { Json } from '../../model/hop.ts'
import { elementId, type Compiled, type Element, type Patience } from './compile.ts'
import type { Command, Nft, NftObject } from '../../linux/nft.ts'
import { formatTag, isGone, parseTag, type ElementTag } from './element-tag.ts'
import { layout, baseTable, startMark, tableName } from './base-table.ts'

/** What one lease wants changed. */
export interface TableChange {
  readonly tag: ElementTag
  readonly remove: Compiled | null
  readonly add: Compiled | null
}

export interface HeldElement {
  readonly element: Element
  /** Null where somebody put it there by hand. */
  readonly tag: ElementTag | null
}

/** One reading of the table, and how often it had been lost as it began. */
interface Reading {
  readonly create: boolean
  readonly before: number
  readonly promise: Promise<void>
}

interface Job extends TableChange {
  done(): void
  failed(error: unknown): void
}

const maps = [4, 6].flatMap((family) =>
  ['port', 'at', 'span', 'into', 'back_port', 'back_at', 'back_span'].map((name) => `${name}${family}`),
)
const sets = ['deny4', 'deny6']

export class KernelTable {
  readonly #nft: Nft
  readonly #owner: string
  readonly #lives: (owner: string) => boolean
  readonly #boot: string
  readonly #now: () => number
  readonly #elements = new Map<string, HeldElement>()
  /** Chains of patience that are there, among others. */
  readonly #chains = new Set<string>()
  /** Elements of other Narus by the name of their rule: one that is gone left them. */
  readonly #left = new Map<string, string[]>()
  /** Switches of this machine as they were before the first Naru changed them: objects of the table tell. */
  #was = new Map<string, string>()
  #known = false
  /** The handle of a table that is of an earlier start of the machine. */
  #old: number | null = null
  /** How often what was known has turned out wrong: a reading that began before the last time tells nothing. */
  #losses = 0
  #knowing: Reading | null = null
  #making = ''
  #queue: Job[] = []
  #running: Promise<void> | null = null

  /**
   * @param boot which start of the machine this is (`kernel/random/boot_id`)
   * @param now ms since the Unix epoch, by which elements end
   */
  constructor(
    nft: Nft,
    owner: string,
    boot: string,
    { lives = ownerLives, now = Date.now }: { lives?: (owner: string) => boolean; now?: () => number } = {},
  ) {
    this.#nft = nft
    this.#boot = boot
    this.#owner = owner
    this.#lives = lives
    this.#now = now
  }

  /** Does the change with all others asked for at the same time. @throws NaruError LISTEN_IN_USE, NOT_PERMITTED, COMMAND_FAILED */
  change(change: TableChange): Promise<void> {
    return new Promise((done, failed) => {
      this.#queue.push({ ...change, done, failed })
      this.#running ??= this.#drain().finally(() => (this.#running = null))
    })
  }

  /** Resolves once nothing is queued. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running
  }

  /** One other change: settings of the table that belong to no lease. Where it was flushed away they go into a new one. */
  async apply(commands: readonly Command[], { again = losses } = {}): Promise<void> {
    await this.#know()
    try {
      await this.#nft.apply(commands, { signal: withLimit(undefined, 60_000) })
    } catch (error) {
      if (again === 0 || !isMissing(error)) throw error
      this.lost()
      await this.apply(commands, { again: again - 1 })
    }
  }

  /** Reads the table anew. @returns its elements by `elementId`. */
  async read(): Promise<ReadonlyMap<string, HeldElement>> {
    await this.settled()
    this.lost()
    await this.#know({ create: false })
    return this.#elements
  }

  /** Takes out what nobody wants any more, read anew. @returns the rest */
  async sweep(isLeft: (tag: ElementTag) => boolean): Promise<ReadonlyMap<string, HeldElement>> {
    const elements = await this.read()
    const left = [...elements.values()]
      .filter(({ tag }) => tag !== null && isLeft(tag))
      .map(({ element }) => element)
    const commands = grouped('delete', left, ({ set }) => set, deleted)
    if (left.length > 0) await this.#nft.apply(commands, { signal: withLimit(undefined, 60_000) })
    for (const element of left) this.#elements.delete(elementId(element))
    return this.#elements
  }

  /** It was made at an earlier start of the machine: whatever is in it is nobody's. As of the last reading. */
  get isOld(): boolean {
    return this.#old !== null
  }

  /** Notes what a switch was, for whoever leaves last. The first to note it is right. */
  async note(was: Readonly<Record<string, string>>): Promise<void> {
    await this.#know()
    const fresh = Object.entries(was).filter(([key]) => !this.#was.has(key))
    if (fresh.length === 0) return
    await this.apply(fresh.map(([key, value]) => command('add', 'counter', { name: `was/${key}/${value}` })))
    for (const [key, value] of fresh) this.#was.set(key, value)
  }

  /** What switches were before, as it is noted in the table. Makes no table. */
  async notes(): Promise<ReadonlyMap<string, string>> {
    await this.#know({ create: false })
    return this.#was
  }

  /** Reads the notes anew. @returns whether another Naru has noted more since they were read last */
  async hasMoreNotes(): Promise<boolean> {
    const options = { signal: withLimit(undefined, 60_000) }
    const objects = await this.#nft.list(['-t', 'list', 'counters', 'table', 'inet', tableName], options)
    const fresh = (objects ?? [])
      .flatMap(({ counter }) => noteIn(counter?.name))
      .filter(([key]) => !this.#was.has(key))
    for (const [key, value] of fresh) this.#was.set(key, value)
    return fresh.length > 0
  }

  /** Changes whenever the table was found anew, and with it all that belongs to no lease. */
  get making(): string {
    return this.#making
  }

  /** Somebody deleted it: it is made anew, with everything that leases ask for again. */
  lost(): void {
    this.#known = false
    this.#losses++
  }

  async isThere(): Promise<boolean> {
    const options = { signal: withLimit(undefined, 60_000) }
    return (await this.#nft.list(['-t', 'list', 'table', 'inet', tableName], options)) !== null
  }

  /** Whether nothing of any Naru is in it, read anew. */
  async isEmpty(): Promise<boolean> {
    await this.settled()
    const options = { signal: withLimit(undefined, 60_000) }
    try {
      const objects = (await this.#nft.list(['list', 'table', 'inet', tableName], options)) ?? []
      if (objects.length === 0) this.lost()
      return [...maps, ...sets].every((name) => elementsOf(objects, name, this.#now()).length === 0)
    } catch (error) {
      // More than a command may say is not nothing.
      if (isNaruError(error, 'COMMAND_FAILED')) return (await this.read()).size === 0
      throw error
    }
  }

  /** The whole table goes. */
  async remove(): Promise<void> {
    if (this.#known || this.isOld)
      await this.apply([command('delete', 'table', { name: tableName })], { again: 0 }).catch(
        (error: unknown) => {
          if (!isMissing(error)) throw error
        },
      )
    this.lost()
    this.#forget()
  }

  #forget(): void {
    this.#elements.clear()
    this.#chains.clear()
    this.#was.clear()
    this.#left.clear()
    this.#old = null
  }

  async #drain(): Promise<void> {
    // One turn of the loop lets everything asked for in this tick come along.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#queue.length > 0) {
      const jobs = this.#queue
      this.#queue = []
      try {
        await this.#know()
        await this.#run(jobs)
      } catch (error) {
        for (const job of jobs) job.failed(error)
      }
    }
  }

  /** A job that nft refuses is found by halves, so that it takes no other along. */
  async #run(jobs: readonly Job[], { again = losses } = {}): Promise<void> {
    const plan = this.#plan()
    const wanted = jobs.filter((job) => tell(job, () => plan.take(job)))
    if (wanted.length === 0) return
    try {
      if (plan.text !== '') await this.#nft.apply(plan.text, { signal: withLimit(undefined, 60_000) })
      if (plan.commands.length > 0)
        await this.#nft.apply(plan.commands, { signal: withLimit(undefined, 60_000) })
    } catch (error) {
      plan.undo()
      if (again > 0 && isMissing(error)) {
        // The table was flushed away under us: what is to be taken out is out, what is to be there goes into a new one.
        this.lost()
        await this.#know()
        return this.#run(wanted, { again: again - 1 })
      }
      if (wanted.length > 1) {
        const half = wanted.length >> 1
        await this.#run(wanted.slice(0, half))
        await this.#run(wanted.slice(half))
      } else wanted[0]?.failed(await this.#explain(error, wanted[0]))
      return
    }
    for (const job of wanted) job.done()
  }

  #plan(): Plan {
    // Asked once a transaction: thousands of elements have one owner.
    const alive = new Map<string, boolean>()
    const lives = (owner: string): boolean => {
      const known = alive.get(owner) ?? this.#lives(owner)
      alive.set(owner, known)
      return known
    }
    return new Plan(this.#elements, this.#chains, this.#left, this.#owner, { lives, now: this.#now })
  }

  /** Somebody changed the table under us: read it again, then say who has what was wanted. */
  async #explain(error: unknown, job: Job): Promise<unknown> {
    if (!isNaruError(error, 'COMMAND_FAILED') || !/File exists/.test(error.message)) return error
    this.lost()
    await this.#know()
    const plan = this.#plan()
    try {
      plan.take(job)
    } catch (conflict) {
      return conflict
    } finally {
      plan.undo()
    }
    return error
  }

  /**
   * Whoever wants to know at the same time reads once. A reading that was under way as the table was lost may have
   * read what is no more, and what was undone meanwhile was undone in its view: it is done again.
   */
  async #know({ create = true } = {}): Promise<void> {
    for (let again = losses; !this.#known && again > 0; again--) {
      const reading = this.#knowing ?? this.#read(create)
      await reading.promise.catch((error: unknown) => {
        if (reading.create || !create) throw error
      })
      if (!create && reading.before === this.#losses) return
    }
    if (!this.#known) throw goneAgain()
  }

  #read(create: boolean): Reading {
    const before = this.#losses
    const promise = this.#learn(create)
      .then((there) => void (this.#known = there && before === this.#losses))
      .finally(() => (this.#knowing = null))
    return (this.#knowing = { create, before, promise })
  }

  /** @returns whether the table is there */
  async #learn(create: boolean): Promise<boolean> {
    this.#forget()
    const options = { signal: withLimit(undefined, 60_000) }
    const objects = await this.#nft.list(['-t', 'list', 'table', 'inet', tableName], options)
    this.#old = objects && this.#handleOfOld(objects)
    if (create && this.#old !== null) await this.#dropOld(this.#old)
    if (objects === null || (create && this.#old !== null)) {
      this.#old = null
      if (!create) return false
      await this.#make(options)
      this.#making = `made at ${performance.now()}`
      return true
    }
    if (!objects.some(({ counter }) => counter?.name === layout))
      throw new NaruError('COMMAND_FAILED', {
        command: 'nft list table inet naru',
        exit: 0,
        stderr: 'the table is of another version of Naru; end that one, or: nft delete table inet naru',
      })
    for (const { table, chain, counter } of objects) {
      if (table) this.#making = JSON.stringify(table.handle)
      if (chain) this.#chains.add(chain.name as string)
      if (this.#old === null) for (const [key, value] of noteIn(counter?.name)) this.#was.set(key, value)
    }
    for (const [kind, names] of [
      ['map', maps],
      ['set', sets],
    ] as const)
      for (const name of names) {
        const found = await this.#nft.list(['list', kind, 'inet', tableName, name], options)
        // Flushed away while it was read.
        if (found === null) this.lost()
        for (const held of elementsOf(found ?? [], name, this.#now())) this.#keep(held)
      }
    // Nothing may be added to one that is old.
    return this.#old === null
  }

  #keep(held: HeldElement): void {
    const id = elementId(held.element)
    this.#elements.set(id, held)
    const { tag } = held
    if (tag === null || tag.owner === this.#owner) return
    const left = this.#left.get(tag.rule)
    if (left) left.push(id)
    else this.#left.set(tag.rule, [id])
  }

  /** Null where it is of this start of the machine, or does not say. */
  #handleOfOld(objects: readonly NftObject[]): number | null {
    const names = objects.flatMap(({ counter }) => (typeof counter?.name === 'string' ? [counter.name] : []))
    const starts = names.filter((name) => name.startsWith(startMark('')))
    if (starts.length === 0 || starts.includes(startMark(this.#boot))) return null
    return (objects.find(({ table }) => table)?.table?.handle as number | undefined) ?? null
  }

  /** That very table, and not one that another Naru has made in its place. */
  async #dropOld(handle: number): Promise<void> {
    await this.#nft
      .apply(`delete table inet handle ${handle}\n`, { signal: withLimit(undefined, 60_000) })
      .catch((error: unknown) => {
        if (!isMissing(error)) throw error
      })
  }

  async #make(options: { signal: AbortSignal }): Promise<void> {
    try {
      await this.#nft.apply(baseTable(this.#boot), options)
    } catch (error) {
      // Another Naru was quicker.
      if (!/File exists/.test(messageOf(error))) throw error
    }
  }
}

/** How often in a row the table may be flushed away before a change gives up. */
const losses = 5

const isMissing = (error: unknown): boolean => /No such file or directory/.test(messageOf(error))

const goneAgain = (): NaruError =>
  new NaruError('COMMAND_FAILED', {
    command: 'nft list table inet naru',
    exit: 0,
    stderr: 'somebody takes the table away again and again; end what runs `nft flush ruleset`',
  })

function tell(job: Job, take: () => void): boolean {
  try {
    take()
    return true
  } catch (error) {
    job.failed(error)
    return false
  }
}

/** What a key of one of the maps was: undefined where it was not there. */
interface Step {
  readonly map: Map<string, unknown>
  readonly key: string
  readonly before: unknown
}

/** Builds one transaction while the view is moved along; `undo` moves it back where nft refused. */
class Plan {
  /** Goes ahead of the transaction, as text; harmless by itself. */
  text = ''
  readonly #before: Command[] = []
  readonly #deletions = new Map<string, Element>()
  readonly #additions = new Map<string, HeldElement>()
  readonly #back: (Step | (() => void))[] = []
  readonly #elements: Map<string, HeldElement>
  readonly #chains: Set<string>
  readonly #left: ReadonlyMap<string, readonly string[]>
  readonly #owner: string
  readonly #lives: (owner: string) => boolean
  readonly #now: () => number

  constructor(
    elements: Map<string, HeldElement>,
    chains: Set<string>,
    left: ReadonlyMap<string, readonly string[]>,
    owner: string,
    { lives, now }: { readonly lives: (owner: string) => boolean; readonly now: () => number },
  ) {
    this.#elements = elements
    this.#chains = chains
    this.#left = left
    this.#owner = owner
    this.#lives = lives
    this.#now = now
  }

  get commands(): Command[] {
    const now = this.#now()
    return [
      ...this.#before,
      ...grouped('delete', this.#deletions.values(), (element) => element.set, deleted),
      ...grouped(
        'create',
        this.#additions.values(),
        ({ element }) => element.set,
        (held) => added(held, now),
      ),
    ]
  }

  /** All of the change or nothing of it. @throws NaruError LISTEN_IN_USE */
  take({ tag, remove, add }: TableChange): void {
    const mark = this.#back.length
    try {
      const wanted = new Map((add?.elements ?? []).map((element) => [elementId(element), element]))
      for (const element of remove?.elements ?? []) {
        const id = elementId(element)
        if (!wanted.has(id)) this.#remove(id, tag)
      }
      for (const [id, element] of wanted) this.#add(id, element, tag)
      if (add) this.#removeLeft(tag, wanted)
      if (add?.patience) this.#addPatience(add.patience)
    } catch (error) {
      this.undo(mark)
      throw error
    }
  }

  undo(to = 0): void {
    while (this.#back.length > to) {
      const step = this.#back.pop()
      if (typeof step === 'function') step()
      else if (step?.before === undefined) step?.map.delete(step.key)
      else step.map.set(step.key, step.before)
    }
  }

  /** @param value undefined takes the key out */
  #put<V>(map: Map<string, V>, key: string, value: V | undefined): void {
    this.#back.push({ map, key, before: map.get(key) })
    if (value === undefined) map.delete(key)
    else map.set(key, value)
  }

  #add(id: string, element: Element, tag: ElementTag): void {
    const there = this.#elements.get(id)
    const same =
      there &&
      JSON.stringify(there.element.value) === JSON.stringify(element.value) &&
      endTogether(there.element, element)
    if (there && !this.#mayReplace(there, tag)) throw inUse(element, there.tag)
    if (there && same && there.tag && formatTag(there.tag) === formatTag(tag)) return
    if (there) this.#delete(id, there.element)
    const held = { element, tag }
    this.#put(this.#additions, id, held)
    this.#put(this.#elements, id, held)
  }

  #remove(id: string, tag: ElementTag): void {
    const there = this.#elements.get(id)
    if (!there?.tag || there.tag.owner !== this.#owner) return
    if (there.tag.serial !== tag.serial) return
    this.#delete(id, there.element)
    this.#put(this.#elements, id, undefined)
  }

  /** What a gone Naru of the same state folder carried by that name, and its rule does not say any more. */
  #removeLeft({ rule, origin }: ElementTag, wanted: ReadonlyMap<string, Element>): void {
    for (const id of this.#left.get(rule) ?? []) {
      const there = this.#elements.get(id)
      if (!there?.tag || wanted.has(id) || there.tag.owner === this.#owner) continue
      if (origin === null || there.tag.origin?.mark !== origin.mark || !isGone(there.tag)) continue
      this.#delete(id, there.element)
      this.#put(this.#elements, id, undefined)
    }
  }

  #mayReplace({ tag }: HeldElement, mine: ElementTag): boolean {
    if (tag === null) return false
    return tag.owner === this.#owner ? tag.serial === mine.serial : !this.#lives(tag.owner)
  }

  #delete(id: string, element: Element): void {
    // What this very transaction would have added is simply not added.
    if (this.#additions.has(id)) this.#put(this.#additions, id, undefined)
    else this.#put(this.#deletions, id, element)
  }

  /** Chains of patience are shared, and stay as long as the table. */
  #addPatience(patience: Patience): void {
    const { chain } = patience
    if (this.#chains.has(chain)) return
    this.#chains.add(chain)
    const length = this.#before.length
    this.#before.push(...patienceCommands(patience))
    this.text += patienceText(patience)
    this.#back.push(() => {
      this.#chains.delete(chain)
      this.#before.length = length
    })
  }
}

/** A note of what a switch was is the name of a counter: `was/net/ipv4/conf/eth0/forwarding/0`. */
function noteIn(name: unknown): [key: string, value: string][] {
  const [, key, value] = /^was\/(.+)\/([^/]+)$/.exec(typeof name === 'string' ? name : '') ?? []
  return key && value ? [[key, value]] : []
}

/** What JSON cannot say to nft 1.0.6, as text: a policy of a `ct timeout` is lost in it. */
function patienceText({ chain, family, seconds }: Patience): string {
  const body = `protocol udp; l3proto ${family === 4 ? 'ip' : 'ip6'}; policy = { unreplied : ${seconds}, replied : ${seconds} };`
  return `add ct timeout inet ${tableName} ${chain} { ${body} }\n`
}

/** The chain, once `patienceText` is there. */
function patienceCommands({ chain, way }: Patience): Command[] {
  const isUdp = { match: { op: '==', left: { meta: { key: 'l4proto' } }, right: 'udp' } }
  return [
    command('add', 'chain', { name: chain }),
    command('add', 'rule', { chain, expr: [isUdp, { 'ct timeout': chain }] }),
    command('add', 'rule', { chain, expr: [{ goto: { target: way } }] }),
  ]
}

export function command(verb: string, kind: string, what: Readonly<Record<string, Json>>): Command {
  return { [verb]: { [kind]: { family: 'inet', table: tableName, ...what } } }
}

/**
 * So long after a rule is over the kernel itself takes its elements out: a Naru that lives did it before, in the
 * ordinary way, and one that was killed does it no more.
 */
const graceMs = 10_000
/** nft tells and takes whole seconds. */
const roundedMs = 2000

const endTogether = ({ ends: a }: Element, { ends: b }: Element): boolean =>
  a === undefined || b === undefined ? a === b : Math.abs(a - b) <= roundedMs

/** What `create element` takes: `[{ elem: { val, timeout, comment } }, value]`, in a set without the value. */
function added({ element: { key, value, ends }, tag }: HeldElement, now: number): Json {
  const timeout: Record<string, Json> =
    ends === undefined ? {} : { timeout: Math.max(1, Math.ceil((ends + graceMs - now) / 1000)) }
  const tagged: Json = tag ? { elem: { val: key, ...timeout, comment: formatTag(tag) } } : key
  return value === null ? tagged : [tagged, value]
}

function deleted({ key, value }: Element): Json {
  return value === null ? key : [key, value]
}

/** Elements of one map as one command, in the order in which maps were first met. */
function grouped<T>(
  verb: string,
  things: Iterable<T>,
  setOf: (thing: T) => string,
  write: (thing: T) => Json,
): Command[] {
  const groups = new Map<string, Json[]>()
  for (const thing of things) {
    const set = setOf(thing)
    const group = groups.get(set)
    if (group) group.push(write(thing))
    else groups.set(set, [write(thing)])
  }
  return [...groups].map(([name, elem]) => command(verb, 'element', { name, elem }))
}

/** nft shows a range of sources as a prefix where it is one; we write ranges. */
function asRange(key: Json): Json {
  const { concat } = key as { concat: readonly Json[] }
  const source = concat[3] as { prefix?: { addr: string; len: number } } | string
  if (typeof source === 'string' || !source.prefix) return key
  const { addr, len } = source.prefix
  const bytes = addressBytes(addr)
  for (let bit = len; bit < bytes.length * 8; bit++) bytes[bit >> 3]! |= 0x80 >> (bit & 7)
  return { concat: [...concat.slice(0, 3), { range: [addr, addressFromBytes(bytes)] }] }
}

type Listed = { readonly elem?: readonly Json[] }
/** `expires`: seconds that are left to it. */
type ListedElement = { readonly val: Json; readonly comment?: string; readonly expires?: number }

function elementsOf(objects: readonly NftObject[], set: string, now: number): HeldElement[] {
  const isMap = maps.includes(set)
  return objects.flatMap(
    ({ map, set: plain }) =>
      ((map ?? plain)?.name === set ? ((map ?? plain) as Listed) : null)?.elem?.map((entry) => {
        const [key, value] = isMap ? (entry as readonly [Json, Json]) : [entry, null]
        const { val, comment, expires } = unwrapped(key)
        const written = isMap ? val : asRange(val)
        const ends = expires === undefined ? {} : { ends: now + expires * 1000 - graceMs }
        return { element: { set, key: written, value, ...ends }, tag: parseTag(comment) }
      }) ?? [],
  )
}

function unwrapped(key: Json): ListedElement {
  return key !== null && typeof key === 'object' && 'elem' in key
    ? ((key as { elem: unknown }).elem as ListedElement)
    : { val: key }
}

function inUse({ key }: Element, tag: ElementTag | null): NaruError {
  return new NaruError('LISTEN_IN_USE', {
    listen: JSON.stringify(key),
    owner: tag ? `naru (pid ${tag.owner.split('-')[0]}, rule ${tag.rule})` : 'the table inet naru',
  })
}
