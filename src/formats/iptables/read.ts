/**
 * The forwards of iptables-save: what the nat table sends on from PREROUTING, through chains of any name, and whom the
 * tables before and behind it let pass on that way. That becomes `allow` and `deny`; where it cannot be told the forward
 * is left out, or switched off where only somebody who knows this machine's interfaces can tell.
 */
import { familyOf, formatCidr, type Family } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import { listenText, ruleName, type PartLoss, type ImportContext } from '../shared/import-context.ts'
import { goalOf, isEvery, isLoopback, targetPorts, type Goal } from './goal.ts'
import { addressOf, hides, hidesWhatIsMarked, isClusterAddress, together } from './match.ts'
import { noMatch, type IptablesRule, type IptablesMatch } from './parse.ts'
import { Budget, IptablesPath, type Outcome, type Probe } from './path.ts'
import { Sources } from './sources.ts'
import { familiesOf, networksOf, tablesOf, withNetworks, type Chains, type IptablesTable } from './tables.ts'

/** Chains that jump on and on are cut here; the kernel allows 16 and no circles. */
const mostDepth = 16
/** What many jumps to one chain may grow to. */
const mostSteps = 200_000
/** What long lists that are held before many forwards may grow to, as each rule has its own. */
const mostPrefixes = 200_000

export function read(text: string, reading: ImportContext): void {
  const tables = tablesOf(text, reading)
  const families = familiesOf(tables)
  const told = new Set<SourcePlace>()
  for (const family of families)
    new Ruleset(tables, family, { reading, told, alone: families.length === 1 }).read()
  const nat = tables.find(({ name }) => name === 'nat')
  if (nat?.chains.has('PREROUTING') && !tables.some(({ name }) => name === 'filter'))
    reading.lose(nat.place, '*nat', withoutFilter)
  for (const { name, place, chains } of tables) {
    const count = [...chains.values()].reduce((sum, chain) => sum + chain.length, 0)
    if (name !== 'nat' && count > 0) reading.lose(place, `*${name}: ${count}`, notForwarding)
    if (name !== 'nat') continue
    for (const entry of chains.get('POSTROUTING') ?? [])
      if (!told.has(entry.place)) loseOutward(entry, reading)
    for (const entry of chains.get('OUTPUT') ?? []) if (!chains.has(entry.target)) loseOwn(entry, reading)
  }
}

const withoutFilter: Text = say(
  'the text has no filter table: where its FORWARD turns somebody away, import all that iptables-save prints',
)

function loseOutward({ place, text }: IptablesRule, reading: ImportContext): void {
  const why = say('about what goes out, no forward')
  reading.lose(place, text, why)
}

function loseOwn({ place, text }: IptablesRule, reading: ImportContext): void {
  const why = say('only for what this machine itself sends')
  reading.lose(place, text, why)
}

const notForwarding: Text = say(
  'rules of this table: whom they turn away from a forward is turned away by its rule too, and the rest is no forward',
)

/** Lines that send one port on, as it is reached. */
interface Port {
  readonly match: IptablesMatch
  readonly protocol: Protocol
  /** `80` or `8000:8100`. */
  readonly ports: string
  readonly entries: IptablesRule[]
}

/** Who comes in by a port, and to where. */
interface Way {
  readonly entry: IptablesRule
  /** All lines that send somebody there. */
  readonly senders: readonly IptablesRule[]
  readonly goal: Goal
  readonly admitted: Uint8Array
  readonly marked: boolean
  /** A line that may let in more, by what no rule can ask. */
  readonly unclear: IptablesRule | null
}

/** Why nobody comes in that way. */
interface NoWay {
  readonly why: Text
  /** The line that decides it by what is not known. */
  readonly unclear: IptablesRule | null
  /** Another line sends everybody on before. */
  readonly shadowed: boolean
}

/** A table that a connection passes beside nat. */
interface Stage {
  readonly path: IptablesPath
  readonly table: IptablesTable
}

interface Telling {
  readonly reading: ImportContext
  /** Lines that something was said of, or that are in a rule. */
  readonly told: Set<SourcePlace>
  /** The text is for this family alone. */
  readonly alone: boolean
}

class Ruleset {
  readonly #family: Family
  readonly #reading: ImportContext
  readonly #told: Set<SourcePlace>
  readonly #alone: boolean
  readonly #nat: Chains
  readonly #natPath: IptablesPath
  readonly #sources: Sources
  readonly #stages: readonly Stage[]
  readonly #ports = new Map<string, Port>()
  readonly #elsewhere = new Set<string>()
  readonly #leftOut = new Set<string>()
  #prefixes = 0

  constructor(tables: readonly IptablesTable[], family: Family, { reading, told, alone }: Telling) {
    this.#family = family
    this.#reading = reading
    this.#told = told
    this.#alone = alone
    const own = tables.filter((table) => table.family === null || table.family === family)
    const networks = networksOf(chainsOf(own, 'nat'))
    const known = own.map((table) => ({
      ...table,
      chains: new Map(
        [...table.chains].map(([name, entries]) => [name, entries.map((one) => withNetworks(one, networks))]),
      ),
    }))
    this.#nat = chainsOf(known, 'nat')
    this.#sources = new Sources(
      family,
      known.flatMap(({ chains }) => [...chains.values()].flat()),
    )
    const ground = { networks, elsewhere: this.#elsewhere }
    const budget = new Budget(({ place }) => reading.tooMuch(place, tooEntangled))
    const common = { sources: this.#sources, ground, budget }
    this.#natPath = new IptablesPath({ ...common, chains: this.#nat, sends: true })
    this.#stages = known
      .filter(({ name }) => name !== 'nat')
      .map((table) => ({ table, path: new IptablesPath({ ...common, chains: table.chains, sends: false }) }))
  }

  read(): void {
    this.#collect()
    for (const port of this.#ports.values()) this.#readPort(port)
    const why = say('a line before it takes all')
    for (const { entries } of this.#ports.values())
      for (const entry of entries) this.#once(entry, () => this.#reading.lose(entry.place, entry.text, why))
  }

  /** Every port that some line sends on. */
  #collect(): void {
    let steps = 0
    const walk = (chain: string, match: IptablesMatch, depth: number): void => {
      for (const entry of this.#nat.get(chain) ?? []) {
        if (++steps > mostSteps) throw this.#reading.tooMuch(entry.place)
        const both = together(match, entry.match)
        if (both === null || (both.family !== null && both.family !== this.#family)) continue
        if (!this.#nat.has(entry.target)) this.#take({ ...entry, match: both })
        else if (depth < mostDepth) walk(entry.target, both, depth + 1)
        else this.#reading.wrong(entry.place, say('chains jump in a circle'))
      }
    }
    walk('PREROUTING', noMatch, 0)
  }

  #take(entry: IptablesRule): void {
    const { match, target, place, text } = entry
    if (decides.test(target)) return
    if (target !== 'DNAT' && target !== 'REDIRECT')
      return this.#once(entry, () => this.#reading.lose(place, text, say('it forwards nothing')))
    const goal = goalOf(entry, this.#family)
    if (goal && familyOf(goal.host) !== this.#family) {
      if (this.#alone || match.family !== null) this.#leaveOut(entry, noTarget)
      return
    }
    if (goal && !goal.here) this.#elsewhere.add(goal.host)
    if (match.protocol === null || match.ports === null)
      return this.#leaveOut(entry, say('a forward has a protocol and a port'))
    if (match.never) return
    for (const ports of match.ports.split(',')) {
      const { protocol } = match
      const key = `${protocol} ${ports} ${match.destination ? formatCidr(match.destination) : ''}`
      const there = this.#ports.get(key)
      if (there) there.entries.push(entry)
      else this.#ports.set(key, { match, protocol, ports, entries: [entry] })
    }
  }

  #readPort(port: Port): void {
    const { match, entries } = port
    if (isClusterAddress(match.comment)) return this.#leaveOutAll(port, ofCluster)
    const address = addressOf(match, this.#family)
    if (address === null) return this.#leaveOutAll(port, wholeNetwork)
    const sure = this.#wayOf(port, address, false)
    if ('goal' in sure) return this.#add(port, address, sure, [])
    if (sure.shadowed) return
    const any = this.#wayOf(port, address, true)
    if (!('goal' in any)) return this.#leaveOutAll(port, any.why)
    const line = sure.unclear ?? entries[0]
    this.#add(
      port,
      address,
      any,
      line ? [{ place: line.place, what: line.text, why: byInterface, off: true }] : [],
    )
  }

  /** @param anyInterface a line that sends on or lets pass does so whatever interface it asks for */
  #wayOf(port: Port, address: string, anyInterface: boolean): Way | NoWay {
    const to = isEvery(address) ? null : address
    const arriving = {
      family: this.#family,
      protocol: port.protocol,
      ports: port.ports,
      destination: to,
      local: true,
      asked: null,
    }
    const { sent, unclear, marked } = this.#natPath.follow('PREROUTING', 'out', arriving, anyInterface)
    const refuse = (why: Text, line = unclear): NoWay => ({ why, unclear: line, shadowed: false })
    if (unclear) return refuse(unclearBecause(unclear))
    const senders = [...new Set(sent.filter((entry) => entry !== null))]
    const [first] = senders
    if (!first) return refuse(say('a line before it takes all'), null)
    const isOwn = (one: IptablesRule): boolean => port.entries.some(({ place }) => place === one.place)
    if (!senders.some(isOwn)) return { why: elsewhere, unclear: null, shadowed: true }
    const among = anyInterface ? [...senders, ...port.entries] : senders
    if (among.some(({ target, to: there }) => target !== first.target || there !== first.to))
      return refuse(elsewhere)
    const goal = goalOf(first, this.#family, address)
    if (goal === null) return refuse(noTarget)
    const admitted = Uint8Array.from(sent, (entry) => (entry === null ? 0 : 1))
    return this.#passed(
      { entry: first, senders, goal, admitted, marked, unclear: null },
      arriving,
      anyInterface,
    )
  }

  /** Only who is let pass by the other tables as well. */
  #passed(way: Way, arriving: Probe, anyInterface: boolean): Way | NoWay {
    const { goal, admitted } = way
    const to = goal.host
    const ports = targetPorts(arriving.ports.replace(':', '-'), goal)
    if (ports === null) return { why: chosen, unclear: null, shadowed: false }
    const changed: Probe = {
      ...arriving,
      destination: goal.here && isLoopback(to) ? null : to,
      ports: ports.replace('-', ':'),
      local: goal.here,
      asked: arriving.ports,
    }
    let unclear: IptablesRule | null = null
    for (const { table, path } of this.#stages)
      for (const hook of goal.here ? ['PREROUTING', 'INPUT'] : ['PREROUTING', 'FORWARD', 'POSTROUTING']) {
        if (!table.chains.has(hook)) continue
        const policy = table.policies.get(hook) === 'DROP' ? 'out' : 'in'
        const probe = hook === 'PREROUTING' ? arriving : changed
        const outcome = path.follow(hook, policy, probe, anyInterface)
        for (const [at, passes] of outcome.admitted.entries()) admitted[at]! &= passes
        unclear ??= outcome.unclear
        if (!admitted.includes(1))
          return {
            why: unclear ? unclearBecause(unclear) : nobody(table, hook, outcome),
            unclear,
            shadowed: false,
          }
      }
    return { ...way, unclear: admitted.includes(0) ? unclear : null }
  }

  #add(port: Port, address: string, way: Way, losses: readonly PartLoss[]): void {
    const { match, protocol, ports } = port
    const { entry, goal, admitted } = way
    for (const { place } of way.senders) this.#told.add(place)
    const listen = ports.replace(':', '-')
    const target = targetPorts(listen, goal) ?? listen
    const host = goal.host.includes(':') ? `[${goal.host}]` : goal.host
    const { allow, deny } = this.#sources.access(admitted) ?? { allow: [], deny: [] }
    this.#prefixes += allow.length + deny.length
    if (this.#prefixes > mostPrefixes) throw this.#reading.tooMuch(entry.place, tooManyPrefixes)
    const lost: PartLoss[] = [...losses]
    if (way.unclear) lost.push({ place: way.unclear.place, what: way.unclear.text, why: fewer })
    if (isLoopback(goal.host) && !isLoopback(address))
      lost.push({ place: entry.place, what: entry.text, why: ontoLoopback, off: true })
    const rule: RuleInput = {
      listen: listenText(address, listen, [protocol]),
      target: `${host}:${target}`,
      ...(allow.length > 0 ? { allow } : {}),
      ...(deny.length > 0 ? { deny } : {}),
      ...(goal.here
        ? {}
        : {
            source:
              (way.marked && this.#hidesMarked()) || this.#isHidden(goal.host, target, listen, protocol)
                ? 'relay'
                : 'keep',
          }),
      ...(lost.some(({ off }) => off) ? { enabled: false } : {}),
    }
    this.#reading.add(entry.place, nameOf(match.comment), rule, { what: entry.text, losses: lost })
  }

  #isHidden(host: string, ports: string, asked: string, protocol: Protocol): boolean {
    const outward = this.#nat.get('POSTROUTING') ?? []
    const hider = outward.find(
      ({ target, match }) =>
        (target === 'MASQUERADE' || target === 'SNAT') && hides(match, { host, ports, asked, protocol }),
    )
    if (hider) this.#told.add(hider.place)
    return hider !== undefined
  }

  #hidesMarked(): boolean {
    const outward = this.#nat.get('POSTROUTING') ?? []
    return outward.some(({ target }) => hidesWhatIsMarked(this.#nat.get(target) ?? []))
  }

  /** A line may be in a rule for another port or address: what of it is left out is said all the same. */
  #leaveOutAll({ entries, ports, match: { destination } }: Port, why: Text): void {
    for (const { place, text, match } of entries) {
      const once = `${place.line} ${why.en}`
      if (this.#leftOut.has(once)) continue
      const isPart = match.ports !== ports || this.#told.has(place)
      const part = destination ? `${formatCidr(destination)} ${ports}` : ports
      this.#reading.leaveOut(place, isPart ? `${part} of ${text}` : text, why)
      this.#leftOut.add(once)
    }
    for (const { place } of entries) this.#told.add(place)
  }

  #leaveOut(entry: IptablesRule, why: Text): void {
    this.#once(entry, () => this.#reading.leaveOut(entry.place, entry.text, why))
  }

  /** A chain may be reached many times, and a line be for many ports; it is told once. */
  #once({ place }: IptablesRule, tell: () => void): void {
    if (!this.#told.has(place)) tell()
    this.#told.add(place)
  }
}

const tooEntangled: Text = say('these chains take too many steps to follow')
const tooManyPrefixes: Text = say`its rules would have more than ${mostPrefixes} prefixes in allow and deny`
const ofCluster: Text = say('an address of the cluster, not of this machine')
const wholeNetwork: Text = say('it matches a whole network of destinations')
const noTarget: Text = say('its target is not one address')
const chosen: Text = say('the kernel chooses among its ports, or goes round them')
const elsewhere: Text = say('part of its traffic goes to another target')
const fewer: Text = say('whom this line chooses no rule can say, so they are not let in')
const byInterface: Text = say(
  'switched off: this is decided by interfaces. Write the interface’s address in listen, or its networks as allow, and enable the rule',
)
const ontoLoopback: Text = say(
  'switched off: a service that listens on loopback alone was not reached this way, and would be. Enable the rule where it may be, or write this machine’s own address as target',
)

function nobody({ name, policies }: IptablesTable, hook: string, { away }: Outcome): Text {
  const by = away ? say`line ${away.place.line}: ${away.text}` : say`policy ${policies.get(hook) ?? ''}`
  return say`${hook} of the ${name} table lets nobody pass to its target (${by})`
}

function unclearBecause({ text, place }: IptablesRule): Text {
  return say`who comes in is decided by what no rule can ask (line ${place.line}: ${text})`
}

function chainsOf(tables: readonly IptablesTable[], name: string): Chains {
  const all: Chains = new Map()
  for (const table of tables)
    if (table.name === name)
      for (const [chain, entries] of table.chains) all.set(chain, [...(all.get(chain) ?? []), ...entries])
  return all
}

/** What of the nat table is no forward and yet read: who is taken away, and marked. */
const decides = /^(?:RETURN|ACCEPT|DROP|REJECT|MARK)$/

/** `naru:web`, or what somebody wrote in it. */
function nameOf(comment: string | null): string | null {
  return comment === null ? null : ruleName(comment.replace(/^naru:/, ''))
}
