/**
 * A `Naru` without a machine: rules in memory, events by hand. It keeps the promises of `model/naru-api` as far as the
 * API and the CLI can tell, and remembers what it was asked.
 */
import { NaruError } from '../../src/base/errors.ts'
import { say, verbatim } from '../../src/base/text.ts'
import { unknownRule } from '../../src/model/unknown-rule.ts'
import type { Connection } from '../../src/model/connection.ts'
import type {
  About,
  ChangeOptions,
  ChangeResult,
  HopStatus,
  Naru,
  NaruEvent,
  RuleInput,
  RuleStatus,
} from '../../src/model/naru-api.ts'
import type { Plan } from '../../src/model/plan.ts'
import { noCounters } from '../../src/rules/counters.ts'

type Unnumbered = NaruEvent extends infer E ? (E extends NaruEvent ? Omit<E, 'id' | 'at'> : never) : never

/** Noon, 24 December 2026, UTC. */
export const fakeNow = Date.UTC(2026, 11, 24, 12)

export function hopStatus(over: Partial<HopStatus> & Pick<HopStatus, 'hop'>): HopStatus {
  return {
    member: 'sockets',
    state: 'ok',
    text: say('as it should be', '정상'),
    notes: [],
    data: null,
    checkedAt: fakeNow,
    ...over,
  }
}

export function ruleStatus(name: string, over: Partial<RuleStatus> = {}): RuleStatus {
  return {
    name,
    rule: { listen: 8888, target: '192.168.79.128:80' },
    listen: '8888',
    targets: ['192.168.79.128:80'],
    state: 'open',
    service: 'ok',
    engine: {
      id: 'sockets',
      why: say('works everywhere (splice: no, because …)', '어디서나 동작 (splice: 불가 — …)'),
      brief: say('works everywhere', '어디서나 동작'),
    },
    hops: [
      hopStatus({
        hop: 'service',
        member: 'tcp',
        text: say('192.168.79.128:80 accepts connections', '192.168.79.128:80이 연결을 받음'),
      }),
      hopStatus({ hop: 'relay', text: say('listening on *:8888', '*:8888에서 수신 대기') }),
    ],
    counters: noCounters,
    rate: { toTarget: 0, toClient: 0 },
    until: null,
    addresses: [],
    byHand: null,
    ...over,
  }
}

export function connection(id: string, over: Partial<Connection> = {}): Connection {
  return {
    id,
    rule: 'iis',
    engine: 'sockets',
    protocol: 'tcp',
    client: '192.168.1.7:50123',
    listen: '8888',
    target: '192.168.79.128:80',
    openedAt: fakeNow - 5000,
    bytesToTarget: 512,
    bytesToClient: 20_480,
    state: 'open',
    closedAt: null,
    closeReason: null,
    ...over,
  }
}

export class FakeNaru implements Naru {
  readonly calls: unknown[][] = []
  readonly connectionsNow: Connection[] = []
  aboutNow: About = {
    version: '0.1.0',
    pid: 4242,
    file: '/home/kim/naru.yaml',
    startedAt: fakeNow,
    revision: 'r1',
    web: null,
    fileProblem: null,
  }
  /** Thrown by the next call that changes something. */
  failNext: Error | null = null
  stopped: { drain: boolean } | null = null
  #rules = new Map<string, RuleStatus>()
  #events: NaruEvent[] = []
  #listeners = new Set<() => void>()
  #lastId = 0
  /** Events kept for `since`. */
  keep = 1000

  constructor(...rules: RuleStatus[]) {
    for (const rule of rules) this.#rules.set(rule.name, rule)
  }

  readonly about = (): Promise<About> => Promise.resolve(this.aboutNow)

  readonly rules: Naru['rules'] = {
    list: () => Promise.resolve([...this.#rules.values()]),
    get: async (name) => this.#known(name),
    add: async (name, rule, options) => {
      this.#called('add', name, rule, options)
      if (this.#rules.has(name)) throw new NaruError('RULE_EXISTS', { name })
      return this.#change(options, name, (rules) =>
        rules.set(name, ruleStatus(name, { rule, listen: JSON.stringify(rule.listen ?? '') })),
      )
    },
    addAll: async (rules, options) => {
      this.#called('addAll', rules, options)
      const told = rules.map(({ name }) => {
        const problem = this.#rules.has(name) ? new NaruError('RULE_EXISTS', { name }).toJSON() : null
        return { name, added: problem === null, problem }
      })
      for (const { name, rule } of options?.dryRun ? [] : rules)
        if (!this.#rules.has(name)) this.#rules.set(name, ruleStatus(name, { rule }))
      return { rules: told, notes: [], revision: this.aboutNow.revision }
    },
    edit: async (name, change, options) => {
      this.#called('edit', name, change, options)
      const status = this.#known(name)
      return this.#change(options, name, (rules) =>
        rules.set(name, { ...status, rule: merged(status.rule, change) }),
      )
    },
    remove: async (name, options) => {
      this.#called('remove', name, options)
      this.#known(name)
      return this.#change(options, name, (rules) => rules.delete(name))
    },
    enable: async (name, options) => {
      this.#called('enable', name, options)
      const status = this.#known(name)
      return this.#change(options, name, (rules) => rules.set(name, { ...status, state: 'open' }))
    },
    disable: async (name, options) => {
      this.#called('disable', name, options)
      const status = this.#known(name)
      return this.#change(options, name, (rules) => rules.set(name, { ...status, state: 'disabled' }))
    },
    rename: async (name, to, options) => {
      this.#called('rename', name, to, options)
      const status = this.#known(name)
      return this.#change(options, to, (rules) => {
        rules.delete(name)
        rules.set(to, { ...status, name: to })
      })
    },
    reopen: async (name) => {
      this.#called('reopen', name)
      const status = this.#known(name)
      return this.#change({}, name, (rules) => rules.set(name, { ...status, state: 'open' }))
    },
  }

  readonly plan: Naru['plan'] = async (change) => {
    this.#called('plan', change)
    return planFor(change?.name ?? 'iis')
  }

  connections: Naru['connections'] = async ({ rule, limit } = {}) =>
    this.connectionsNow
      .filter((connection) => rule === undefined || connection.rule === rule)
      .slice(0, limit ?? Infinity)

  traffic: Naru['traffic'] = async () => [{ at: fakeNow, all: [100, 200, 1], rules: { iis: [100, 200, 1] } }]

  happened: Naru['happened'] = async () => []

  cut: Naru['cut'] = async (id) => {
    this.#called('cut', id)
    const at = this.connectionsNow.findIndex((connection) => connection.id === id)
    if (at >= 0) this.connectionsNow.splice(at, 1)
    return at >= 0
  }

  /** Events as a daemon sends them: those kept since `since`, then what is told. */
  async *events({ signal, since }: { signal: AbortSignal; since?: number }): AsyncGenerator<NaruEvent> {
    let sent = since ?? this.#lastId
    const oldest = this.#events[0]?.id ?? this.#lastId + 1
    if (since !== undefined && since < oldest - 1) {
      yield { id: this.#lastId, at: fakeNow, type: 'gap' }
      sent = this.#lastId
    }
    while (!signal.aborted) {
      const next = this.#events.find((event) => event.id > sent)
      if (next) {
        sent = next.id
        yield next
      } else await this.#told(signal)
    }
  }

  reload: Naru['reload'] = async () => {
    this.#called('reload')
    return this.#result('iis')
  }

  stop: Naru['stop'] = async ({ drain = false } = {}) => {
    this.#called('stop', drain)
    this.stopped = { drain }
  }

  /** Something happened: numbers it, keeps it, tells every listener. */
  tell(event: Unnumbered): void {
    this.#events.push({ ...event, id: ++this.#lastId, at: fakeNow })
    this.#events = this.#events.slice(-this.keep)
    for (const listener of this.#listeners) listener()
  }

  /** How many listen to events now. */
  get listening(): number {
    return this.#listeners.size
  }

  set(rule: RuleStatus): void {
    this.#rules.set(rule.name, rule)
  }

  #told(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#listeners.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#listeners.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  #called(...call: unknown[]): void {
    this.calls.push(call)
    const failure = this.failNext
    this.failNext = null
    if (failure) throw failure
  }

  #known(name: string): RuleStatus {
    const rule = this.#rules.get(name)
    if (rule) return rule
    throw unknownRule(name, [...this.#rules.keys()])
  }

  #change(
    options: ChangeOptions | undefined,
    name: string,
    change: (rules: Map<string, RuleStatus>) => unknown,
  ): ChangeResult {
    if (options?.revision !== undefined && options.revision !== this.aboutNow.revision)
      throw new NaruError('FILE_CHANGED', { file: this.aboutNow.file ?? '' })
    if (!options?.dryRun) {
      change(this.#rules)
      this.aboutNow = { ...this.aboutNow, revision: `r${Number(this.aboutNow.revision.slice(1)) + 1}` }
    }
    return this.#result(name)
  }

  #result(name: string): ChangeResult {
    return {
      plan: planFor(name),
      rules: [...this.#rules.values()],
      failures: [],
      revision: this.aboutNow.revision,
    }
  }
}

export function planFor(rule: string): Plan {
  return {
    steps: [
      {
        rule,
        hop: 'relay',
        member: 'sockets',
        action: 'open',
        what: say(
          'listen on *:8888, forward to 192.168.79.128:80',
          '*:8888에서 받아 192.168.79.128:80으로 전달',
        ),
        why: say('works everywhere', '어디서나 동작'),
        needs: null,
      },
      {
        rule,
        hop: 'firewall',
        member: 'ufw',
        action: 'open',
        what: say('allow 8888/tcp', '8888/tcp 허용'),
        why: say('ufw is active', 'ufw가 켜져 있음'),
        needs: { text: say('needs root', 'root 권한 필요'), command: 'sudo ufw allow 8888/tcp' },
      },
    ],
    notes: [verbatim('')].slice(1),
  }
}

function merged(rule: RuleInput, change: RuleInput): RuleInput {
  const next = { ...rule, ...change }
  return Object.fromEntries(Object.entries(next).filter(([, value]) => value !== null))
}
