/**
 * `naru doctor`: runs every check at once, each with its own limit, folds consequences under their causes and puts
 * the verdict first. A check that fails or is late says so in its outcome; the others are not held up.
 */
import { setMaxListeners } from 'node:events'
import { isNaruError } from '../base/errors.ts'
import { Semaphore } from '../base/semaphore.ts'
import { Slices } from '../base/slices.ts'
import type { Check, CheckSubject, OutsideTest } from './checks/contract.ts'
import type { Diagnosis, DoctorEvent } from '../model/diagnosis.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Finding } from '../model/finding.ts'
import { parseListen } from '../model/listen.ts'
import { parseRule } from '../model/rule-file.ts'
import type { Rule } from '../model/rule.ts'
import { unknownRule } from '../model/unknown-rule.ts'
import type { Target } from '../model/target.ts'
import { say } from '../base/text.ts'
import { openAnew, told, typeable } from './advice.ts'
import { Looks, toldOf } from './bounded.ts'
import { readOnce } from './read-once.ts'
import { readMachine, readRule, type ReadingsDeps } from './readings.ts'
import { runChecks } from './run-checks.ts'
import { diagnosisFrom } from './verdict.ts'

export interface DoctorDeps extends ReadingsDeps {
  readonly checks: readonly Check[]
  /** The rules there are, with what is known of their hops; hops are empty where no daemon runs. */
  readonly rules: () => Promise<readonly RuleToCheck[]>
}

export interface RuleToCheck {
  readonly rule: Rule
  readonly hops: readonly HopStatus[]
  /** Naru itself serves what it leads to, as long as it runs. @default false */
  readonly servedByUs?: boolean
  /** A `naru open` holds it: no file has it, so no command changes it. @default false */
  readonly inForeground?: boolean
}

export interface DiagnoseOptions {
  readonly signal: AbortSignal
  /** A rule's name, or a port, of which the rule that listens there is looked at. @default every rule, then the machine */
  readonly about?: string
  /** May servers on the internet be asked (STUN)? @default false */
  readonly mayAskInternet?: boolean
  /** Names given out for this place; asked for by the check that needs them. @default none */
  readonly names?: () => Promise<readonly string[]>
  /** What tests from outside said. @default [] */
  readonly outside?: readonly OutsideTest[]
  readonly onEvent?: (event: DoctorEvent) => void
  /** Longest that a check may take. @default what the check says, else 11_000 */
  readonly limitMs?: number
}

export interface Doctor {
  /** @throws NaruError RULE_UNKNOWN where `about` is neither a rule nor a port */
  diagnose(options: DiagnoseOptions): Promise<Diagnosis>
  /**
   * The cheap checks alone, made so that nobody notices: what runs here is read from the socket table, not dialled, and
   * what the rule's own leases say is believed. @returns the causes of each rule, in the order of `rules`
   */
  examine(
    rules: readonly RuleToCheck[],
    options: { signal: AbortSignal },
  ): Promise<readonly (readonly Finding[])[]>
}

export function createDoctor(deps: DoctorDeps): Doctor {
  return {
    diagnose: (options) => diagnose(deps, options),
    examine: (rules, options) => examine(deps, rules, options),
  }
}

const noNames = (): Promise<readonly string[]> => Promise.resolve([])

/** So many rules are looked at at once, whose targets may all have to be dialled. */
const rulesAtOnce = 64

async function examine(
  given: DoctorDeps,
  rules: readonly RuleToCheck[],
  { signal }: { signal: AbortSignal },
): Promise<readonly (readonly Finding[])[]> {
  const options = { signal, quiet: true }
  setMaxListeners(0, signal)
  const deps = { ...given, host: readOnce(given.host, signal) }
  const machine = readMachine(deps, { ...options, mayAskInternet: false })
  const checks = deps.checks.filter(({ cheap }) => cheap)
  const order = checks.map(({ code }) => code)
  return await eachRule(rules, signal, async (one) => {
    const subject = subjectOf(deps, { ...one, machine }, options)
    const runs = await runChecks(checks, subject, deps.clock, options)
    const findings = runs.flatMap((run) => run.findings.map(told))
    return diagnosisFrom({ findings, outcomes: [], order, tookMs: 0 }).causes
  })
}

/** A window goes over the rules: one that waits for a silent target holds up no other. */
async function eachRule<R, T>(
  rules: readonly R[],
  signal: AbortSignal,
  work: (rule: R) => Promise<T>,
): Promise<T[]> {
  const gate = new Semaphore(rulesAtOnce, 'a diagnosis')
  const slices = new Slices()
  const inTurn = async (rule: R): Promise<T> => {
    await slices.next()
    return work(rule)
  }
  const results = await Promise.all(rules.map((rule) => gate.through(() => inTurn(rule), signal)))
  signal.throwIfAborted()
  return results
}

async function diagnose(given: DoctorDeps, options: DiagnoseOptions): Promise<Diagnosis> {
  const began = given.clock.monotonic()
  const { signal, mayAskInternet = false } = options
  // As many look at once as there are checks and targets; Node takes more than ten for a leak.
  setMaxListeners(0, signal)
  const deps = { ...given, host: readOnce(given.host, signal) }
  const rules = await deps.rules()
  const known = { ...deps, rules: () => Promise.resolve(rules) }
  const machine = readMachine(known, { signal, mayAskInternet, awaited: routerMembersOf(rules) })
  const lan = await machine.lan().catch(() => null)
  const chosen = chooseRules(rules, options.about, lan?.address)
  const whole = { rule: null, hops: [], inForeground: false, servedByUs: false }
  // The machine's own checks wait for silent routers the longest, so they begin first.
  const all = options.about === undefined ? [whole, ...chosen] : chosen
  const names = (): Promise<readonly string[]> => machine.shared('names', options.names ?? noNames)
  const named = new Set(rules.flatMap(({ rule, inForeground }) => (inForeground ? [] : [rule.name])))
  const count = all.length * deps.checks.length
  const looks = new Looks(count)
  const telling = { ...options, onEvent: toldOf(count, options.onEvent) }
  const looked = await eachRule(all, signal, async ({ inForeground, ...one }) => {
    const subject = subjectOf(deps, { ...one, machine }, { ...options, names })
    const advise = (finding: Finding): Finding =>
      told(inForeground ? openAnew(finding) : typeable(finding, named))
    const runs = await runChecks(deps.checks, subject, deps.clock, telling)
    const outcomes = looks.take(runs.map(({ outcome }) => outcome))
    return { findings: runs.flatMap(({ findings }) => findings.map(advise)), outcomes }
  })
  // Told as ever: rules in the order of the file, then the machine.
  const results = all[0] === whole ? [...looked.slice(1), ...looked.slice(0, 1)] : looked
  return diagnosisFrom({
    findings: results.flatMap(({ findings }) => findings),
    outcomes: looks.listed(results.flatMap(({ outcomes }) => outcomes)),
    counts: looks.counts,
    order: deps.checks.map(({ code }) => code),
    tookMs: Math.round(deps.clock.monotonic() - began),
  })
}

/** Who holds a mapping for one of the rules: without that one's answer nothing can be said of it. */
function routerMembersOf(rules: readonly RuleToCheck[]): ReadonlySet<string> {
  const held = rules.flatMap(({ hops }) => hops.find(({ hop }) => hop === 'router')?.member ?? [])
  return new Set(held)
}

function subjectOf(
  deps: DoctorDeps,
  what: Pick<CheckSubject, 'rule' | 'hops'> & {
    servedByUs?: boolean
    machine: ReturnType<typeof readMachine>
  },
  options: DiagnoseOptions & { quiet?: boolean },
): CheckSubject {
  const { host, clock, routers, firewalls, guests } = deps
  const { signal, mayAskInternet = false, names = noNames, outside = [], quiet = false } = options
  const { rule, hops, servedByUs = false, machine } = what
  return {
    rule,
    hops,
    servedByUs,
    host,
    clock,
    routers,
    firewalls,
    guests,
    mayAskInternet,
    names,
    outside,
    look: readRule(machine, deps, { rule, hops, signal, quiet }),
  }
}

/** A port without a rule is looked at as a rule would be that forwards it to itself. @throws NaruError RULE_UNKNOWN */
export function chooseRules(
  rules: readonly RuleToCheck[],
  about: string | undefined,
  ownAddress = '127.0.0.1',
): readonly RuleToCheck[] {
  if (about === undefined) return rules.filter(({ rule }) => rule.enabled)
  const named = rules.filter(({ rule }) => rule.name === about)
  if (named.length > 0) return named
  const listening = rules.filter(({ rule }) => listensOn(rule, about))
  if (listening.length > 0) return listening
  try {
    return [{ rule: asIfRule(about, ownAddress), hops: [ownListen] }]
  } catch (error) {
    if (isNaruError(error, 'VALUE_INVALID'))
      throw unknownRule(
        about,
        rules.map(({ rule }) => rule.name),
      )
    throw error
  }
}

function listensOn({ listen }: Rule, about: string): boolean {
  const port = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(about)
  if (!port || listen.kind !== 'inet') return false
  const [, number, protocol] = port
  const inside = listen.ports.first <= Number(number) && Number(number) <= listen.ports.last
  return inside && (protocol === undefined || listen.protocols.includes(protocol as 'tcp' | 'udp'))
}

/** Where the service listens itself, no relay is missing and no port is taken from one. */
const ownListen: HopStatus = {
  hop: 'relay',
  member: null,
  state: 'ok',
  text: say('no rule: the service listens itself'),
  notes: [],
  data: null,
  checkedAt: null,
}

/** A service that clients reach without a relay: the port itself is service and listen in one. */
function asIfRule(about: string, ownAddress: string): Rule {
  const listen = parseListen(about)
  if (listen.kind !== 'inet') throw unknownRule(about, [])
  const { first } = listen.ports
  // No rule may forward to itself; this one is none that anybody opens.
  const rule = parseRule(`port-${first}`, { listen: about, target: first === 1 ? 2 : 1 })
  const to: Target = { kind: 'inet', host: listen.address ?? ownAddress, ports: listen.ports }
  return { ...rule, targets: rule.targets.map((choice) => ({ ...choice, to })) }
}
