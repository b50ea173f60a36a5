/**
 * Who else decides about this machine's packets: filters that are not ours, routing rules, IPsec. What the kernel
 * redirects or a program of ours sends on meets other hooks than a connection to this machine, and the routes of
 * other packets: whoever takes that way asks here first. A plain answer on purpose: any rule of somebody else's counts,
 * whatever it says, and a chain that is empty and lets everything pass does not.
 */
import { isNaruError, NaruError } from '../../base/errors.ts'
import { withLimit, type Clock } from '../../base/clock.ts'
import { Latest } from '../../base/latest.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { Runner, RunResult } from '../contract.ts'
import { programsOnSockets, type OnSockets } from '../../linux/bpf/own-group.ts'
import { askNft, cutOff, type NftObject } from '../../linux/nft.ts'
import { isOurChain, keepRule } from '../../linux/own-names.ts'
import { asObject } from './nft-match.ts'
import { legacyTables, savedBy, type ReadOptions } from './read.ts'

/** So long is an answer told to whoever only plans. */
const freshMs = 1000
const limitMs = 10_000

export class Others {
  readonly #clock: Clock
  readonly #look: Latest<Text | null>
  #answer: Promise<Text | null> | null = null
  #askedAt = 0

  constructor(runner: Runner, clock: Clock) {
    this.#clock = clock
    this.#look = new Latest(() => whoElseDecides({ runner, signal: withLimit(undefined, limitMs) }))
  }

  /** At most a second old. @returns who decides, in words, or null where nobody does. @throws NaruError where it cannot be told this time */
  ask(): Promise<Text | null> {
    if (this.#answer && this.#clock.monotonic() - this.#askedAt < freshMs) return this.#answer
    return this.askAnew()
  }

  /** As `ask`, by a look that begins after the question; those who ask at once share it. For whoever opens. */
  askAnew(): Promise<Text | null> {
    const answer = this.#look.get()
    this.#answer = answer
    this.#askedAt = this.#clock.monotonic()
    answer.catch(() => this.forget())
    return answer
  }

  /** Somebody saw it change: the next question looks again. */
  forget(): void {
    this.#answer = null
  }
}

/** @throws NaruError NOT_PERMITTED, COMMAND_FAILED, TIMED_OUT */
export async function whoElseDecides(
  options: ReadOptions,
  onSockets: () => OnSockets = programsOnSockets,
): Promise<Text | null> {
  const [filter, routing, ipsec] = await Promise.all([
    filterOf(options),
    routingRuleOf(options),
    hasIpsec(options),
  ])
  if (filter !== null)
    return say`the host firewall (${filter}) is asked about connections to this machine, and what the kernel redirects is none`
  if (routing !== null)
    return say`a routing rule (ip rule ${routing}) may lead redirected packets another way than this machine's own`
  if (ipsec) return say('IPsec policies (ip xfrm policy) tell redirected packets from this machine’s own')
  return ofPrograms(onSockets())
}

function ofPrograms(onSockets: OnSockets): Text | null {
  if (onSockets === 'some')
    return say(
      'a program on this service’s control group (IPAddressDeny=, IPAccounting=) decides about its sockets, and what the kernel redirects comes to none',
    )
  if (onSockets === 'unknown')
    return say(
      'whether a program on this process’s control group (IPAddressDeny=) decides cannot be told: that takes koffi, CAP_BPF and a cgroup2 mount',
    )
  return null
}

async function filterOf(options: ReadOptions): Promise<string | null> {
  const [inNft, inLegacy] = await Promise.all([nftChainOf(options), legacyChainOf(options)])
  return inNft ?? inLegacy
}

interface BaseChain {
  readonly family: string
  readonly table: string
  readonly name: string
  readonly hook: string
  readonly policy: string
}

const nameOf = ({ family, table, name }: Omit<BaseChain, 'hook' | 'policy'>): string =>
  `${family} ${table} ${name}`

/** The first to be told is what a connection to this machine meets. */
const order = ['input', 'forward', 'output']
const rank = ({ hook }: BaseChain): number => (order.indexOf(hook) + order.length + 1) % (order.length + 1)

/** A base chain of somebody else's with a rule in it, or with a policy that drops: `inet filter input`. */
async function nftChainOf(options: ReadOptions): Promise<string | null> {
  const chains = baseChains(await objectsOf(options, ['list', 'chains']))
  const dropping = chains.find(({ policy }) => policy === 'drop')
  if (dropping) return nameOf(dropping)
  const tables = new Map(chains.map(({ family, table }) => [`${family} ${table}`, [family, table] as const]))
  const filled = new Set<string>()
  for (const [family, table] of tables.values())
    for (const { rule } of await objectsOf(options, ['-t', 'list', 'table', family, table], 'perhaps')) {
      const { chain } = asObject(rule)
      if (typeof chain === 'string') filled.add(nameOf({ family, table, name: chain }))
    }
  const found = chains.find((chain) => filled.has(nameOf(chain)))
  return found ? nameOf(found) : null
}

function baseChains(objects: readonly NftObject[]): BaseChain[] {
  return objects
    .map(({ chain }) => {
      const { family, table, name, hook, policy } = asObject(chain)
      return {
        family: String(family),
        table: String(table),
        name: String(name),
        hook: typeof hook === 'string' ? hook : '',
        policy: String(policy),
      }
    })
    .filter((chain) => chain.hook !== '' && chain.family !== 'arp' && !isOurChain(chain))
    .sort((a, b) => rank(a) - rank(b))
}

/** The same of iptables-legacy, which nft does not show. */
async function legacyChainOf(options: ReadOptions): Promise<string | null> {
  if (!(await legacyTables(options))) return null
  for (const family of ['ip', 'ip6'] as const) {
    const tool = family === 'ip' ? 'iptables-legacy' : 'ip6tables-legacy'
    const saved = await savedBy(options, 'legacy', family)
    if (saved === null) return tool
    const chain = builtInOf(saved)
    if (chain !== null) return `${tool} ${chain}`
  }
  return null
}

function builtInOf(saved: string): string | null {
  const chains = [...saved.matchAll(/^(?::([A-Z]+) DROP|(?:\[\d+:\d+\] )?-A ([A-Z]+)) /gm)].flatMap(
    ([, dropping, filled]) => dropping ?? filled ?? [],
  )
  const found = ['INPUT', 'FORWARD', 'OUTPUT', 'PREROUTING', 'POSTROUTING'].find((name) =>
    chains.includes(name),
  )
  return found ?? null
}

/** What every Linux has, by name or number; IPv6 does without the last. */
const everywhere =
  /^(?:0:\s+from all lookup (?:local|255)|32766:\s+from all lookup (?:main|254)|32767:\s+from all lookup (?:default|253))$/
const { priority, firstByte } = keepRule
const ours = new RegExp(
  `^${priority}:\\s+from all fwmark 0x${firstByte.toString(16)}[0-9a-f]{6} lookup \\d+$`,
)

async function routingRuleOf(options: ReadOptions): Promise<string | null> {
  const listings = await Promise.all([
    output(options, ['ip', '-4', 'rule', 'show']),
    output(options, ['ip', '-6', 'rule', 'show'], 'perhaps'),
  ])
  const rules = listings.flatMap((text) => text.split('\n').map((line) => line.trim()))
  const found = rules.find((rule) => rule !== '' && !everywhere.test(rule) && !ours.test(rule))
  return found?.replace(/\s+/g, ' ') ?? null
}

/** A kernel without IPsec says so, and has no policy. */
async function hasIpsec(options: ReadOptions): Promise<boolean> {
  return (await output(options, ['ip', 'xfrm', 'policy'], 'perhaps')).trim() !== ''
}

/** `perhaps`: what is not there makes it fail, and says nothing. */
type Exits = 'well' | 'perhaps'

/** What nft lists. What it cuts off may say anything. */
async function objectsOf(
  options: ReadOptions,
  args: readonly string[],
  exits: Exits = 'well',
): Promise<readonly NftObject[]> {
  const answer = await askNft(args, options)
  if (answer.objects) return answer.objects
  if (answer.exit === 0) throw refused(['nft', '-j', ...args], { ...answer, stderr: cutOff(args) })
  return orRefused(['nft', '-j', ...args], answer, exits, [])
}

/** Standard output. */
async function output(
  { runner, signal }: ReadOptions,
  argv: readonly [string, ...string[]],
  exits: Exits = 'well',
): Promise<string> {
  const result = await runner.run(argv, { signal })
  return result.exit === 0 ? result.stdout : orRefused(argv, result, exits, '')
}

function orRefused<T>(argv: readonly string[], result: RunResult, exits: Exits, nothing: T): T {
  if (exits === 'perhaps' && !isDenied(result.stderr)) return nothing
  throw refused(argv, result)
}

function refused(argv: readonly string[], { exit, stderr }: RunResult): NaruError {
  return new NaruError('COMMAND_FAILED', {
    command: argv.join(' '),
    exit,
    stderr: stderr.trim().slice(0, 500),
  })
}

const isDenied = (stderr: string): boolean => /not permitted|permission denied/i.test(stderr)

/** What cannot be read may say anything. */
export function unreadable(error: unknown): Text {
  const why = isNaruError(error) ? error.text : verbatim(String(error))
  return say`whether somebody else filters here cannot be read (${why})`
}
