/** A terminal, or none, that remembers what was written and presses keys when told. */
import type { CliDeps } from '../../src/cli/deps.ts'
import type { Interrupt, Io, Stream } from '../../src/cli/io.ts'
import { run } from '../../src/cli/run.ts'
import { NaruError } from '../../src/base/errors.ts'
import type { NaruClient } from '../../src/api/client/client.ts'
import { fakeNow, planFor, type FakeNaru } from './naru.ts'

export class FakeStream implements Stream {
  text = ''
  isTTY = false
  isJournal = false
  columns = 100
  rows = 20
  readonly #heard = new Set<() => void>()

  write(text: string): void {
    this.text += text
    for (const call of this.#heard) call()
  }

  get lines(): string[] {
    return this.text.replace(/\n$/, '').split('\n')
  }

  /** Resolves once `text` was written. */
  async until(text: string): Promise<void> {
    if (this.text.includes(text)) return
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.text.includes(text)) return
        this.#heard.delete(look)
        resolve()
      }
      this.#heard.add(look)
    })
  }
}

export class FakeIo implements Io {
  readonly stdout = new FakeStream()
  readonly stderr = new FakeStream()
  readonly env: Record<string, string | undefined> = {}
  platform: NodeJS.Platform = 'linux'
  readonly self = ['/usr/bin/node', '/opt/naru/dist/main.js']
  exited: number | null = null
  answers: (string | null)[] = []
  /** Why data is lost. */
  lost: Error | null = null
  readonly #interrupts = new Set<(by: Interrupt) => void>()
  readonly #keys = new Set<(key: string) => void>()
  #suspended: (() => void) | null = null
  readonly stdin = {
    isTTY: false,
    onKey: (call: (key: string) => void): Disposable => held(this.#keys, call),
    line: (question: string): Promise<string | null> => {
      this.stderr.write(question)
      return Promise.resolve(this.answers.shift() ?? null)
    },
  }

  time = fakeNow
  readonly now = (): number => this.time
  outputLost(): Promise<Error | null> {
    return Promise.resolve(this.lost)
  }
  onInterrupt(call: (by: Interrupt) => void): Disposable {
    return held(this.#interrupts, call)
  }
  onResize(): Disposable {
    return { [Symbol.dispose]() {} }
  }
  exit(code: number): void {
    this.exited = code
  }
  /** Goes on at `continued()`. */
  suspend(goesOn: () => void): void {
    this.#suspended = goesOn
  }
  continued(): void {
    this.#suspended?.()
    this.#suspended = null
  }

  terminal(): this {
    this.stdout.isTTY = this.stderr.isTTY = this.stdin.isTTY = true
    this.env['NO_COLOR'] = '1'
    return this
  }

  interrupt(by: Interrupt = 'asked'): void {
    for (const call of this.#interrupts) call(by)
  }

  press(key: string): void {
    for (const call of this.#keys) call(key)
  }
}

/** A CLI whose daemon is `naru`; none runs where it is null, and the file is `offline`. */
export function fakeDeps(
  naru: FakeNaru | null,
  over: Partial<CliDeps> & { offline?: CliDeps['offline'] } = {},
): CliDeps {
  const notRunning = (): Promise<never> =>
    Promise.reject(new NaruError('NOT_RUNNING', { file: '/home/kim/naru.yaml' }))
  const client = naru && asClient(naru)
  return {
    version: '0.1.0',
    commit: () => null,
    openHere: notRunning,
    openElsewhere: () => Promise.resolve([]),
    planHere: ({ name }) => Promise.resolve(planFor(name)),
    up: notRunning,
    upInBackground: notRunning,
    connect: () => (client ? Promise.resolve(client) : notRunning()),
    offline: notRunning,
    mustBeUndone: () => Promise.resolve(),
    undoLeftOvers: () => Promise.resolve(),
    machine: notRunning,
    ports: notRunning,
    vantage: notRunning,
    service: () => Promise.resolve(null),
    importFile: notRunning,
    exportRules: notRunning,
    copy: () => Promise.resolve(false),
    ...over,
  }
}

function asClient(naru: FakeNaru): NaruClient {
  const session = { access: 'full' as const, loginUrl: 'http://127.0.0.1:6278/?token=T', readOnlyUrl: null }
  return {
    about: naru.about,
    rules: naru.rules,
    plan: naru.plan,
    traffic: (options) => naru.traffic(options),
    happened: () => naru.happened(),
    connections: (filter) => naru.connections(filter),
    cut: (id) => naru.cut(id),
    events: (options) => naru.events(options),
    reload: naru.reload,
    stop: (options) => naru.stop(options),
    session: () => Promise.resolve(session),
    keyedEvents: () => {
      throw new Error('the CLI has no need of keys')
    },
  }
}

/** Runs a whole command line. */
export async function naru(
  line: string | readonly string[],
  deps: CliDeps,
  io = new FakeIo(),
): Promise<{ exit: number; out: string[]; talk: string[]; io: FakeIo }> {
  const argv = typeof line === 'string' ? line.split(' ').filter(Boolean) : line
  const exit = await run(argv, io, deps)
  return { exit, out: io.stdout.lines, talk: io.stderr.lines, io }
}

function held<T>(set: Set<T>, member: T): Disposable {
  set.add(member)
  return { [Symbol.dispose]: () => void set.delete(member) }
}
