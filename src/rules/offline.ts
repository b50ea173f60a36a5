/** The file alone, while nobody runs on it: read, check, plan and edit. Nothing is opened, nothing is journalled. */
import { setMaxListeners } from 'node:events'
import { withLimit } from '../base/clock.ts'
import { isNaruError, NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type {
  About,
  AddedRules,
  ChangeOptions,
  ChangeResult,
  Naru,
  NewRule,
  RuleInput,
  RuleStatus,
} from '../model/naru-api.ts'
import { formatListen } from '../model/listen.ts'
import type { Rule } from '../model/rule.ts'
import type { Plan } from '../model/plan.ts'
import { formatTarget } from '../model/target.ts'
import {
  addedOf,
  changed,
  existing,
  merged,
  mustBeNew,
  notesFor,
  nothingToDo,
  planFresh,
  renamed,
  withNew,
} from './changes.ts'
import { circlesHere } from '../machine/circles.ts'
import { noCounters } from './counters.ts'
import { load, type Loaded, type LoadedRule } from './load.ts'
import type { Deps } from '../instance/deps.ts'

export function offlineNaru(parts: Deps): Naru {
  const file = new OfflineFile(parts)
  const { change } = file
  return {
    about: () => about(parts, () => file.loaded()),
    rules: {
      list: async () => statuses(await file.loaded()),
      get: async (name) => status(existing(await file.loaded(), name)),
      add: (name, rule, options) => change(name, (now) => (mustBeNew(now, name), rule), options),
      addAll: (asked, options) => file.addAll(asked, options),
      edit: (name, edit, options) => change(name, (now) => merged(existing(now, name).input, edit), options),
      remove: (name, options) => change(name, (now) => (existing(now, name), null), options),
      enable: (name, options) =>
        change(name, (now) => merged(existing(now, name).input, { enabled: null }), options),
      disable: (name, options) =>
        change(name, (now) => merged(existing(now, name).input, { enabled: false }), options),
      rename: (name, to, options) => file.rename(name, to, options),
      reopen: () => Promise.reject(notRunning(parts)),
    },
    plan: (wish) => file.plan(wish),
    traffic: () => Promise.resolve([]),
    happened: () => Promise.resolve([]),
    connections: () => Promise.resolve([]),
    cut: () => Promise.resolve(false),
    events: nothingHappens,
    reload: () => Promise.reject(notRunning(parts)),
    stop: () => Promise.reject(notRunning(parts)),
  }
}

class OfflineFile {
  readonly #parts: Deps

  constructor(parts: Deps) {
    this.#parts = parts
  }

  async loaded(): Promise<Loaded> {
    return load(await this.#parts.store.read({ signal: soon() }))
  }

  async plan(wish?: { name: string; rule: RuleInput | null }): Promise<Plan> {
    const now = await this.loaded()
    return wish ? this.#planned(changed(now, wish), now) : this.#planned(now)
  }

  readonly change = async (
    name: string,
    make: (now: Loaded) => RuleInput | null,
    options: ChangeOptions = {},
  ): Promise<ChangeResult> => {
    const now = await this.loaded().catch(orNothing)
    const wanted = changed(now, { name, rule: make(now) })
    const plan = await this.#planned(wanted, now)
    const failures = [] as const
    if (options.dryRun) return { plan, rules: told(wanted, name), failures, revision: now.revision }
    const how = { signal: soon(), revision: options.revision }
    const rule = wanted.rules.get(name)?.input ?? null
    const after = load(await this.#parts.store.change([{ name, rule }], how), wanted.rules)
    return { plan, rules: told(after, name), failures, revision: after.revision }
  }

  async addAll(asked: readonly NewRule[], options: ChangeOptions = {}): Promise<AddedRules> {
    const { host, store } = this.#parts
    const now = await this.loaded().catch(orNothing)
    const { wanted, fresh, refusals } = withNew(now, asked)
    const notes = await circlesHere(rulesOf(wanted), fresh.map(ruleOf), host, soon())
    const rules = addedOf(asked, refusals)
    if (options.dryRun || fresh.length === 0) return { rules, notes, revision: now.revision }
    const changes = fresh.map(({ rule, input }) => ({ name: rule.name, rule: input }))
    const { revision } = await store.change(changes, { signal: soon(), revision: options.revision })
    return { rules, notes, revision }
  }

  async rename(name: string, to: string, options: ChangeOptions = {}): Promise<ChangeResult> {
    const wanted = renamed(await this.loaded(), name, to)
    const result = { plan: nothingToDo, rules: told(wanted, to), failures: [] }
    if (options.dryRun) return { ...result, revision: wanted.revision }
    const { input } = wanted.rules.get(to) as LoadedRule
    const how = { signal: soon(), revision: options.revision }
    const snapshot = await this.#parts.store.change([{ name: to, rule: input, was: name }], how)
    return { ...result, revision: snapshot.revision }
  }

  async #planned(wanted: Loaded, known?: Loaded): Promise<Plan> {
    const parts = this.#parts
    const signal = soon()
    const fresh = [...wanted.rules.values()].filter((one) => known?.rules.get(one.rule.name) !== one)
    const steps = await Promise.all(fresh.map(({ rule }) => planFresh(rule, parts, signal)))
    const notes = await Promise.all(fresh.map(({ rule }) => notesFor(rule, parts, signal)))
    const circles = await circlesHere(rulesOf(wanted), fresh.map(ruleOf), parts.host, signal)
    return { steps: steps.flat(), notes: [...notes.flat(), ...circles] }
  }
}

const told = ({ rules }: Loaded, name: string): RuleStatus[] => [rules.get(name) ?? []].flat().map(status)

// oxlint-disable-next-line require-yield -- an empty stream has nothing to yield
async function* nothingHappens(): AsyncGenerator<never> {}

/** Each task has its own minute: an import is thousands of them. */
function soon(): AbortSignal {
  const signal = withLimit(undefined, 60_000)
  // Every rule that is planned waits for it.
  setMaxListeners(0, signal)
  return signal
}

/** The first rule may come before the file. */
function orNothing(error: unknown): Loaded {
  if (isNaruError(error, 'FILE_MISSING')) return { revision: '', rules: new Map() }
  throw error
}

function notRunning(parts: Deps): NaruError {
  return new NaruError('NOT_RUNNING', { file: parts.store.name })
}

async function about(parts: Deps, loaded: () => Promise<Loaded>): Promise<About> {
  const { revision } = await loaded()
  return {
    version: parts.version,
    pid: 0,
    file: parts.store.name,
    startedAt: 0,
    revision,
    web: null,
    fileProblem: null,
  }
}

function ruleOf({ rule }: LoadedRule): Rule {
  return rule
}

function rulesOf({ rules }: Loaded): Rule[] {
  return [...rules.values()].map(ruleOf)
}

function statuses(loaded: Loaded): RuleStatus[] {
  return [...loaded.rules.values()].map(status)
}

function status({ rule, input }: LoadedRule): RuleStatus {
  return {
    name: rule.name,
    rule: input,
    listen: formatListen(rule.listen),
    targets: rule.targets.map(({ to }) => formatTarget(to)),
    state: rule.enabled ? 'stopped' : 'disabled',
    service: 'untried',
    engine: null,
    hops: [
      {
        hop: 'relay',
        member: null,
        state: 'off',
        text: say('no Naru runs on this file'),
        notes: [],
        data: null,
        checkedAt: null,
      },
    ],
    counters: noCounters,
    rate: { toTarget: 0, toClient: 0 },
    until: rule.until,
    addresses: [],
    byHand: null,
  }
}
