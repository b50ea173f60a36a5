/** A machine as a test wants it: commands answered by a function, everything else what the test hands in. */
import { NaruError } from '../../src/base/errors.ts'
import type {
  HeldCommand,
  Host,
  Network,
  RunOptions,
  Runner,
  RunResult,
  Sockets,
} from '../../src/host/contract.ts'
import type { Facts } from '../../src/model/facts.ts'

/** A command's answer; the rest of a result is exit 0 and no output. Undefined: it is not installed. */
export type Answer = Partial<RunResult> | string | undefined
export type Answering = (argv: readonly string[], options: RunOptions) => Answer | Promise<Answer>

export class FakeRunner implements Runner {
  /** Every command that was run, words joined. */
  readonly ran: string[] = []
  readonly #answer: Answering

  constructor(answer: Answering) {
    this.#answer = answer
  }

  async run(argv: readonly [string, ...string[]], options: RunOptions): Promise<RunResult> {
    options.signal.throwIfAborted()
    this.ran.push(argv.join(' '))
    const over = new AbortController()
    const answer = await Promise.race([
      this.#answer(argv, options),
      ended(argv, options, over.signal),
    ]).finally(() => over.abort())
    if (answer === undefined) throw new NaruError('COMMAND_MISSING', { command: argv[0] })
    return { exit: 0, stdout: '', stderr: '', ...(typeof answer === 'string' ? { stdout: answer } : answer) }
  }

  hold(argv: readonly [string, ...string[]]): HeldCommand {
    this.ran.push(argv.join(' '))
    return silent()
  }
}

/** A command that is held and says nothing. */
export const silent = (): HeldCommand => ({ write: () => {}, end: () => Promise.resolve() })

/** A command that hangs is ended as the real runner ends it; of one that is `over` nothing is left. */
function ended(
  argv: readonly string[],
  { signal, limitMs = 10_000 }: RunOptions,
  over: AbortSignal,
): Promise<never> {
  const what = argv[0] as string
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new NaruError('TIMED_OUT', { what, ms: limitMs })), limitMs)
    timer.unref()
    const stop = (): void => reject(new NaruError('ABORTED', { what }))
    signal.addEventListener('abort', stop, { once: true })
    over.addEventListener('abort', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    })
  })
}

export interface FakeHostOptions {
  readonly run?: Answering
  readonly runner?: Runner
  readonly facts?: Partial<Facts>
  readonly network?: Partial<Network>
  readonly sockets?: Partial<Sockets>
}

export function fakeHost(options: FakeHostOptions = {}): Host {
  const none = (): Promise<[]> => Promise.resolve([])
  return {
    facts: () =>
      Promise.resolve({
        platform: 'linux',
        arch: 'x64',
        kernel: '6.1.0',
        privileged: true,
        capabilities: [],
        firstUnprivilegedPort: 1024,
        tools: {},
        ...options.facts,
      }),
    runner: options.runner ?? new FakeRunner(options.run ?? (() => undefined)),
    network: {
      interfaces: none,
      defaultRoutes: none,
      routeTo: () => Promise.resolve(null),
      nameServers: none,
      neighbours: none,
      ...options.network,
    },
    sockets: { list: none, owner: () => Promise.resolve(null), ...options.sockets },
  }
}
