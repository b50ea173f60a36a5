/**
 * Our table as this process knows it, and the queue of its changes: jobs that meet become one transaction, since nft
 * takes 12 ms for one element and 0.3 s for ten thousand. What a dead Naru left is replaced in the same transaction
 * that takes it over, so that no client meets a closed port between the two.
 */
import { isNaruError, messageOf, NaruError } from '../../base/errors.ts'
import { addressBytes, addressFromBytes } from '../../base/address.ts'
import { withLimit } from '../../base/clock.ts'
import { ownerLives } from '../../host/linux/owner.ts'
import type { Json } from '../../model/hop.ts'
import { elementId, patienceName, type Compiled, type Element, type Terms } from './compile.ts'
import type { Command, Nft, NftObject } from './nft.ts'
import { formatTag, parseTag, type Tag } from './owner.ts'
import { layout, skeleton, tableName } from './skeleton.ts'

/** What one lease wants changed. */
export interface Change {
  readonly tag: Tag
  readonly remove: Compiled | null
  readonly add: Compiled | null
}

export interface Held {
  readonly element: Element
  /** Null where somebody put it there by hand. */
  readonly tag: Tag | null
}

interface Job extends Change {
  done(): void
  failed(error: unknown): void
}

const maps = [4, 6].flatMap((family) => [
  ...['port', 'at', 'span', 'terms'].map((name) => `${name}${family}`),
  `back${family}_tcp`,
  `back${family}_udp`,
])
const sets = ['deny4', 'deny6', 'asked']

export class Table {
  readonly #nft: Nft
  readonly #owner: string
  readonly #lives: (owner: string) => boolean
  readonly #elements = new Map<string, Held>()
  /** Chains of limits and of patience that are there. */
  readonly #chains = new Set<string>()
  /** Which of our leases want an element that several may share: the way back of a port. */
  readonly #shares = new Map<string, ReadonlySet<number>>()
  /** Switches of this machine as they were before the first Naru changed them: objects of the table tell. */
  #was = new Map<string, string>()
  #known = false
  #knowing: { readonly create: boolean; readonly promise: Promise<void> } | null = null
  #making = ''
  #queue: Job[] = []
  #running: Promise<void> | null = null

  constructor(nft: Nft, owner: string, lives: (owner: string) => boolean = ownerLives) {
    this.#nft = nft
    this.#owner = owner
    this.#lives = lives
  }

  /** Does the change with all others asked for at the same time. @throws NaruError LISTEN_IN_USE, NOT_PERMITTED, COMMAND_FAILED */
  change(change: Change): Promise<void> {
    return new Promise((done, failed) => {
      this.#queue.push({ ...change, done, failed })
      this.#running ??= this.#drain().finally(() => (this.#running = null))
    })
  }

  /** Resolves once nothing is queued. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running
  }

  /** One other change in its turn: settings of the table that belong to no lease. */
  async apply(commands: readonly Command[]): Promise<void> {
    await this.#know()
    await this.#nft.apply(commands, { signal: withLimit(undefined, 60_000) })
  }

  /** Reads the table anew. @returns its elements by `elementId`. */
  async read(): Promise<ReadonlyMap<string, Held>> {
    await this.settled()
    this.#known = false
    await this.#know({ create: false })
    return this.#elements
  }

  /** Takes out whatever a dead owner left. */
  async sweep(owner: string): Promise<void> {
    const elements = await this.read()
    const left = [...elements.values()]
      .filter(({ tag }) => tag?.owner === owner)
      .map(({ element }) => element)
    const commands = grouped('delete', left, ({ set }) => set, deleted)
    if (left.length > 0) await this.#nft.apply(commands, { signal: withLimit(undefined, 60_000) })
    for (const element of left) this.#elements.delete(elementId(element))
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

  /** Changes whenever the table was found anew, and with it all that belongs to no lease. */
  get making(): string {
    return this.#making
  }

  /** Somebody deleted it: it is made anew, with everything that leases ask for again. */
  lost(): void {
    this.#known = false
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
      this.#known &&= objects.length > 0
      return [...maps, ...sets].every((name) => elementsOf(objects, name).length === 0)
    } catch (error) {
      // More than a command may say is not nothing.
      if (isNaruError(error, 'COMMAND_FAILED')) return (await this.read()).size === 0
      throw error
    }
  }

  /** The whole table goes. */
  async remove(): Promise<void> {
    if (this.#known)
      await this.apply([command('delete', 'table', { name: tableName })]).catch((error: unknown) => {
        if (!isGone(error)) throw error
      })
    this.#forget()
  }

  #forget(): void {
    this.#known = false
    this.#elements.clear()
    this.#chains.clear()
    this.#was.clear()
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
  async #run(jobs: readonly Job[], { again = 3 } = {}): Promise<void> {
    const plan = this.#plan()
    const wanted = jobs.filter((job) => tell(job, () => plan.take(job)))
    if (wanted.length === 0) return
    try {
      if (plan.text !== '') await this.#nft.apply(plan.text, { signal: withLimit(undefined, 60_000) })
      if (plan.commands.length > 0)
        await this.#nft.apply(plan.commands, { signal: withLimit(undefined, 60_000) })
    } catch (error) {
      plan.undo()
      if (again > 0 && isGone(error)) {
        // The table was flushed away under us: what is to be taken out is out, what is to be there goes into a new one.
        this.#known = false
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
    return new Plan(this.#elements, this.#chains, this.#shares, this.#owner, lives)
  }

  /** Somebody changed the table under us: read it again, then say who has what was wanted. */
  async #explain(error: unknown, job: Job): Promise<unknown> {
    if (!isNaruError(error, 'COMMAND_FAILED') || !/File exists/.test(error.message)) return error
    this.#known = false
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

  /** Whoever wants to know at the same time reads once. */
  async #know({ create = true } = {}): Promise<void> {
    if (this.#known) return
    const { create: creates, promise: known } = this.#knowing ?? {}
    if (known && (creates || !create)) return known
    if (known) return known.catch(() => {}).then(() => this.#know({ create }))
    const promise = this.#learn(create).finally(() => (this.#knowing = null))
    this.#knowing = { create, promise }
    await promise
  }

  async #learn(create: boolean): Promise<void> {
    this.#forget()
    const options = { signal: withLimit(undefined, 60_000) }
    const objects = await this.#nft.list(['-t', 'list', 'table', 'inet', tableName], options)
    if (objects === null) {
      if (!create) return
      await this.#make(options)
      this.#known = true
      this.#making = `made at ${performance.now()}`
      return
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
      const [, key, value] = /^was\/(.+)\/([^/]+)$/.exec((counter?.name as string | undefined) ?? '') ?? []
      if (key && value) this.#was.set(key, value)
    }
    for (const [kind, names] of [
      ['map', maps],
      ['set', sets],
    ] as const)
      for (const name of names) {
        const found = await this.#nft.list(['list', kind, 'inet', tableName, name], options)
        for (const held of elementsOf(found ?? [], name)) this.#elements.set(elementId(held.element), held)
      }
    this.#known = true
  }

  async #make(options: { signal: AbortSignal }): Promise<void> {
    try {
      await this.#nft.apply(skeleton(), options)
    } catch (error) {
      // Another Naru was quicker.
      if (!/File exists/.test(messageOf(error))) throw error
    }
  }
}

const isGone = (error: unknown): boolean => /No such file or directory/.test(messageOf(error))

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
  readonly #after: Command[] = []
  readonly #deletions = new Map<string, Element>()
  readonly #additions = new Map<string, Held>()
  readonly #back: (Step | (() => void))[] = []
  readonly #elements: Map<string, Held>
  readonly #chains: Set<string>
  readonly #shares: Map<string, ReadonlySet<number>>
  readonly #owner: string
  readonly #lives: (owner: string) => boolean

  constructor(
    elements: Map<string, Held>,
    chains: Set<string>,
    shares: Map<string, ReadonlySet<number>>,
    owner: string,
    lives: (owner: string) => boolean,
  ) {
    this.#elements = elements
    this.#chains = chains
    this.#shares = shares
    this.#owner = owner
    this.#lives = lives
  }

  get commands(): Command[] {
    return [
      ...this.#before,
      ...grouped('delete', this.#deletions.values(), (element) => element.set, deleted),
      ...grouped('create', this.#additions.values(), ({ element }) => element.set, added),
      ...this.#after,
    ]
  }

  /** All of the change or nothing of it. @throws NaruError LISTEN_IN_USE */
  take({ tag, remove, add }: Change): void {
    const mark = this.#back.length
    try {
      const wanted = new Map((add?.elements ?? []).map((element) => [elementId(element), element]))
      for (const element of remove?.elements ?? []) {
        if (!wanted.has(elementId(element))) this.#remove(element, tag)
      }
      for (const element of wanted.values()) this.#add(element, tag)
      if (add?.terms) this.#addTerms(add.terms)
      if (remove?.terms && remove.terms.chain !== add?.terms?.chain) this.#removeTerms(remove.terms)
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

  #add(element: Element, tag: Tag): void {
    const id = elementId(element)
    if (isShared(element)) this.#share(id, tag, true)
    const there = this.#elements.get(id)
    const same = there && JSON.stringify(there.element.value) === JSON.stringify(element.value)
    if (there && !this.#mayReplace(there, tag, element)) {
      if (same && isShared(element)) return
      throw inUse(element, there.tag)
    }
    if (there && same && there.tag && formatTag(there.tag) === formatTag(tag)) return
    if (there) this.#delete(id, there.element)
    const held = { element, tag }
    this.#put(this.#additions, id, held)
    this.#put(this.#elements, id, held)
  }

  #remove(element: Element, tag: Tag): void {
    const id = elementId(element)
    if (isShared(element) && this.#share(id, tag, false) > 0) return
    const there = this.#elements.get(id)
    if (!there?.tag || there.tag.owner !== this.#owner) return
    if (there.tag.serial !== tag.serial && !isShared(element)) return
    this.#delete(id, there.element)
    this.#put(this.#elements, id, undefined)
  }

  #mayReplace({ tag, element: there }: Held, mine: Tag, wanted: Element): boolean {
    if (tag === null) return false
    if (tag.owner !== this.#owner) return !this.#lives(tag.owner)
    if (tag.serial === mine.serial) return true
    // Another rule of ours on the same port, at another address: both must ask for the same way back.
    return isShared(wanted) && (this.#shares.get(elementId(there))?.size ?? 0) <= 1
  }

  /** Asked twice is wanted once. @returns how many want it now */
  #share(id: string, { serial }: Tag, wants: boolean): number {
    const sharers = new Set(this.#shares.get(id))
    if (wants) sharers.add(serial)
    else sharers.delete(serial)
    this.#put(this.#shares, id, sharers.size === 0 ? undefined : sharers)
    return sharers.size
  }

  #delete(id: string, element: Element): void {
    // What this very transaction would have added is simply not added.
    if (this.#additions.has(id)) this.#put(this.#additions, id, undefined)
    else this.#put(this.#deletions, id, element)
  }

  #addTerms(terms: Terms): void {
    if (this.#chains.has(terms.chain)) return
    this.#chains.add(terms.chain)
    const length = this.#before.length
    this.#before.push(...termsCommands(terms))
    this.text += termsText(terms)
    this.#back.push(() => {
      this.#chains.delete(terms.chain)
      this.#before.length = length
    })
  }

  #removeTerms(terms: Terms): void {
    if (!isLimits(terms.chain) || !this.#chains.has(terms.chain)) return
    this.#chains.delete(terms.chain)
    const length = this.#after.length
    this.#after.push(...chainRemoval(terms))
    this.#back.push(() => {
      this.#chains.add(terms.chain)
      this.#after.length = length
    })
  }
}

/** Chains of limits are one rule's; those of patience are shared and stay as long as the table. */
const isLimits = (chain: string): boolean => chain.startsWith('limits-')

/** The way back is kept by port alone, so rules on two addresses share it. */
const isShared = ({ set }: Element): boolean => set === 'asked' || set.startsWith('back')

/**
 * What JSON cannot say to nft 1.0.6, as text: a policy of a `ct timeout` is lost in it, and so is a set's flag
 * `dynamic`, without which the kernel never takes out sources that have gone.
 */
export function termsText({ udpSeconds, sources, family }: Terms): string {
  const lines: string[] = []
  if (udpSeconds !== null) {
    const body = `protocol udp; l3proto ${family === 4 ? 'ip' : 'ip6'}; policy = { unreplied : ${udpSeconds}, replied : ${udpSeconds} };`
    lines.push(`add ct timeout inet ${tableName} ${patienceName(family, udpSeconds)} { ${body} }\n`)
  }
  if (sources !== null) {
    const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
    lines.push(`add set inet ${tableName} ${sources} { type ${type}; flags dynamic; size 65535; }\n`)
  }
  return lines.join('')
}

/** The chain of a rule's limits, once `termsText` is there. */
export function termsCommands({ chain, counters, rules }: Terms): Command[] {
  return [
    ...counters.map((name) => command('add', 'counter', { name })),
    command('add', 'chain', { name: chain }),
    ...rules.map((expr) => command('add', 'rule', { chain, expr })),
  ]
}

function chainRemoval({
  chain,
  sources,
  counters,
}: Pick<Terms, 'chain' | 'sources' | 'counters'>): Command[] {
  return [
    command('flush', 'chain', { name: chain }),
    command('delete', 'chain', { name: chain }),
    ...(sources === null ? [] : [command('delete', 'set', { name: sources })]),
    ...counters.map((name) => command('delete', 'counter', { name })),
  ]
}

export function command(verb: string, kind: string, what: Readonly<Record<string, Json>>): Command {
  return { [verb]: { [kind]: { family: 'inet', table: tableName, ...what } } }
}

/** What `create element` takes: `[{ elem: { val, comment } }, value]`, in a set without the value. */
function added({ element: { key, value }, tag }: Held): Json {
  const tagged: Json = tag ? { elem: { val: key, comment: formatTag(tag) } } : key
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
  if (typeof key === 'number') return key
  const { concat } = key as { concat: readonly Json[] }
  const source = concat[3] as { prefix?: { addr: string; len: number } } | string
  if (typeof source === 'string' || !source.prefix) return key
  const { addr, len } = source.prefix
  const bytes = addressBytes(addr)
  for (let bit = len; bit < bytes.length * 8; bit++) bytes[bit >> 3]! |= 0x80 >> (bit & 7)
  return { concat: [...concat.slice(0, 3), { range: [addr, addressFromBytes(bytes)] }] }
}

type Listed = { readonly elem?: readonly Json[] }
type ListedElement = { readonly val: Json; readonly comment?: string }

function elementsOf(objects: readonly NftObject[], set: string): Held[] {
  const isMap = maps.includes(set)
  return objects.flatMap(
    ({ map, set: plain }) =>
      ((map ?? plain)?.name === set ? ((map ?? plain) as Listed) : null)?.elem?.map((entry) => {
        const [key, value] = isMap ? (entry as readonly [Json, Json]) : [entry, null]
        const { val, comment } = unwrapped(key)
        const written = isMap ? val : asRange(val)
        return { element: { set, key: written, value }, tag: parseTag(comment) }
      }) ?? [],
  )
}

function unwrapped(key: Json): ListedElement {
  return key !== null && typeof key === 'object' && 'elem' in key
    ? ((key as { elem: unknown }).elem as ListedElement)
    : { val: key }
}

function inUse({ key }: Element, tag: Tag | null): NaruError {
  return new NaruError('LISTEN_IN_USE', {
    listen: JSON.stringify(key),
    owner: tag ? `naru (pid ${tag.owner.split('-')[0]}, rule ${tag.rule})` : 'the table inet naru',
  })
}
