/**
 * What a reader finds: forwards, what of them cannot be carried, and what makes the text no such file at all. Counts
 * are bounded, as the text is anybody's. At the end both halves of one forward (TCP and UDP, IPv4 and IPv6) become one
 * rule, and every rule has a name of its own.
 */
import { formatEndpoint } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import type { Protocol } from '../../base/port.ts'
import { inEach, say, type Text } from '../../base/text.ts'
import type { FoundRule, Loss, SourcePlace } from '../../model/import-export.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import { formatListen, type InetListen } from '../../model/listen.ts'
import { ListenIndex } from '../../model/listen-index.ts'
import type { Rule } from '../../model/rule.ts'
import { formatRule } from '../../model/rule-format.ts'
import { joined, nameProblem, readRule } from '../../model/rule-file.ts'

export const mostRules = 10_000
const mostLosses = 100_000
/** Prefixes and targets of all forwards together: a shared list counts once for each that it holds for. */
const mostEntries = 500_000
const mostProblems = 20

/** A forward as a reader found it: `name` is null where the format has none. */
interface Draft {
  readonly place: SourcePlace
  readonly name: string | null
  readonly rule: Rule
  readonly losses: readonly PartLoss[]
}

/** A loss of one forward, said before the forward has its name. */
export interface PartLoss {
  readonly place: SourcePlace
  readonly what: string
  readonly why: Text
  /** The rule is switched off for it, as what is not known here would decide whom it lets in. */
  readonly off?: boolean
}

export class ImportContext {
  /** Named in errors. */
  readonly file: string
  /** The name that a Compose project has where its file says none: its folder's. */
  readonly folder: string | null
  readonly #drafts: Draft[] = []
  readonly #losses: Loss[] = []
  #entries = 0
  readonly #problems: { place: SourcePlace; why: Text }[] = []

  constructor(file: string, folder: string | null) {
    this.file = file
    this.folder = folder
  }

  /** A forward; `losses` are what it goes without. One that would be no valid rule is left out with the reason. */
  add(
    place: SourcePlace,
    name: string | null,
    input: RuleInput,
    { what, losses = [] }: { what: string; losses?: readonly PartLoss[] },
  ): void {
    if (this.#drafts.length >= mostRules) throw this.tooMuch(place)
    this.weigh(place, lengthOf(input['allow']) + lengthOf(input['deny']) + lengthOf(input['targets']))
    const { rule, problems } = readRule('imported', input)
    if (rule) this.#drafts.push({ place, name, rule, losses })
    else this.leaveOut(place, what, joined(problems))
  }

  /** Something that no rule is the poorer for by itself, such as a logging directive. */
  lose(place: SourcePlace, what: string, why: Text): void {
    this.#lost({ place, rule: null, leftOut: false, what: shown(what), why })
  }

  /** A whole forward that cannot be one of ours. */
  leaveOut(place: SourcePlace, what: string, why: Text): void {
    this.#lost({ place, rule: null, leftOut: true, what: shown(what), why })
  }

  /** The text is not what it should be: nothing is taken from it. */
  wrong(place: SourcePlace, why: Text): void {
    this.#problems.push({ place, why })
    if (this.#problems.length >= mostProblems) throw this.#invalid()
  }

  /**
   * Said before the work on so many prefixes or targets for one forward: a small file can ask for millions.
   * @throws NaruError IMPORT_INVALID
   */
  weigh(place: SourcePlace, entries: number): void {
    this.#entries += entries
    if (this.#entries > mostEntries) throw this.tooMuch(place, tooManyEntries)
  }

  tooMuch(place: SourcePlace, why = say`more than ${mostRules} forwards`): NaruError {
    this.wrong(place, why)
    return this.#invalid()
  }

  /** @throws NaruError IMPORT_INVALID */
  finished(): { rules: FoundRule[]; losses: Loss[] } {
    if (this.#problems.length > 0) throw this.#invalid()
    const rules: FoundRule[] = []
    const listening = new Listening()
    const names = new Names()
    for (const draft of mergedFamilies(mergedProtocols(this.#drafts))) {
      const name = names.free(draft.name ?? portName(draft.rule))
      const holder = listening.holderOf(draft.rule)
      if (holder !== null) {
        this.leaveOut(draft.place, formatListen(draft.rule.listen), alreadyTaken(holder))
        continue
      }
      names.take(name)
      listening.add(name, draft.rule)
      rules.push({ name, rule: formatRule(draft.rule), place: draft.place })
      for (const { place, what, why, off = false } of draft.losses)
        this.#lost({ place, what: shown(what), why, rule: name, leftOut: off })
    }
    const losses = this.#losses.toSorted(
      (a, b) =>
        (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0),
    )
    return { rules, losses }
  }

  #lost(loss: Loss): void {
    if (this.#losses.length >= mostLosses) throw this.tooMuch(loss.place ?? { line: 1, column: 1 })
    this.#losses.push(loss)
  }

  #invalid(): NaruError {
    const line =
      (language: keyof Text) =>
      ({ place, why }: { place: SourcePlace; why: Text }): string =>
        `  ${this.file}:${place.line}:${place.column}: ${why[language]}`
    const problems = inEach((language) => this.#problems.map(line(language)).join('\n'))
    return new NaruError('IMPORT_INVALID', { file: this.file, problems })
  }
}

const tooManyEntries = say`the forwards up to here have more than ${mostEntries} prefixes and targets in all, where shared lists count for each`

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0
}

/** A name as a rule may have it, from what somebody called it; null where nothing is left. */
export function ruleName(text: string): string | null {
  const name = text
    .trim()
    .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 40)
    .replace(/-{1,40}$/, '')
  return name !== '' && nameProblem(name) === null ? name : null
}

/** `web`, or `web-2` where that is taken, and so on. */
class Names {
  readonly #taken = new Set<string>()
  readonly #counts = new Map<string, number>()

  free(wanted: string): string {
    let name = wanted
    let count = this.#counts.get(wanted) ?? 2
    for (; this.#taken.has(name); count++) {
      const end = `-${count}`
      name = wanted.slice(0, 40 - end.length) + end
    }
    this.#counts.set(wanted, count)
    return name
  }

  take(name: string): void {
    this.#taken.add(name)
  }
}

/** `port-8888`, `port-8000-8100-udp`, `socket`: the same each time it is read. */
function portName({ listen }: Rule): string {
  if (listen.kind === 'unix') return ruleName(`socket-${listen.path.split('/').at(-1) ?? ''}`) ?? 'socket'
  const { first, last } = listen.ports
  const ports = first === last ? String(first) : `${first}-${last}`
  return `port-${ports}${listen.protocols.includes('tcp') ? '' : '-udp'}`
}

function mergedProtocols(drafts: readonly Draft[]): Draft[] {
  return merged(
    drafts,
    ({ ports, address }) => `${ports.first}-${ports.last} ${address}`,
    (one, other) =>
      one.protocols.some((protocol) => other.protocols.includes(protocol))
        ? null
        : { ...one, protocols: ['tcp', 'udp'] },
    // How long to wait is said of each protocol apart, and a rule keeps them apart too.
    (rule) => ({ ...rule, timeouts: noTimeouts }),
  )
}

const noTimeouts = { connectMs: 0, idleMs: 0, udpMs: 0, drainMs: 0, helloMs: 0, keepaliveMs: 0 }

function timeoutsOfBoth(one: Rule, other: Rule): Rule['timeouts'] {
  const says = ({ listen }: Rule, protocol: Protocol): boolean =>
    listen.kind === 'inet' && listen.protocols.includes(protocol)
  const tcp = says(one, 'tcp') ? one : other
  const udp = says(one, 'udp') ? one : other
  return { ...tcp.timeouts, udpMs: udp.timeouts.udpMs }
}

function mergedFamilies(drafts: readonly Draft[]): Draft[] {
  const wild = (address: string | null): boolean =>
    address === null || address === '0.0.0.0' || address === '::'
  return merged(
    drafts,
    ({ ports, protocols, address }) => `${ports.first}-${ports.last} ${protocols.join()} ${wild(address)}`,
    (one, other) =>
      wild(one.address) && wild(other.address) && one.address !== other.address
        ? { ...one, address: null }
        : null,
  )
}

/** Drafts that differ in their listen alone, and there as `together` says, become one. */
function merged(
  drafts: readonly Draft[],
  keyOf: (listen: InetListen) => string,
  together: (one: InetListen, other: InetListen) => InetListen | null,
  comparable: (rule: Rule) => Rule = (rule) => rule,
): Draft[] {
  const result: Draft[] = []
  const places = new Map<string, number>()
  for (const draft of drafts) {
    const { listen } = draft.rule
    if (listen.kind === 'unix') {
      result.push(draft)
      continue
    }
    const rest = JSON.stringify({ ...formatRule(comparable(draft.rule)), listen: null })
    const key = `${draft.name} ${keyOf(listen)} ${rest}`
    const at = places.get(key)
    const before = at === undefined ? undefined : result[at]
    const both = before?.rule.listen.kind === 'inet' ? together(before.rule.listen, listen) : null
    if (before && both && at !== undefined)
      result[at] = {
        ...before,
        rule: { ...before.rule, listen: both, timeouts: timeoutsOfBoth(before.rule, draft.rule) },
        losses: [...before.losses, ...draft.losses],
      }
    else {
      places.set(key, result.length)
      result.push(draft)
    }
  }
  return result
}

/** Who listens where: two rules that are both open cannot share a port. */
class Listening {
  readonly #held = new ListenIndex<string>()

  holderOf({ listen, enabled }: Rule): string | null {
    return enabled ? this.#held.someoneAt(listen) : null
  }

  add(name: string, { listen, enabled }: Rule): void {
    if (enabled) this.#held.add(listen, name)
  }
}

function alreadyTaken(name: string): Text {
  return say`${name} above already listens there`
}

function shown(what: string): string {
  const line = what.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim()
  return line.length > 200 ? `${line.slice(0, 199)}…` : line
}

/** `[ADDRESS:]PORTS[/PROTOCOLS]` as a rule writes it; whether it is right is found when it is added. */
export function listenText(
  address: string | null,
  ports: string,
  protocols: readonly Protocol[] = ['tcp'],
): string {
  return `${address === null ? ports : formatEndpoint(address, ports)}/${protocols.join('+')}`
}
