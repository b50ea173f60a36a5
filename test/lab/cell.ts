/**
 * Daemons in a host of the lab with mounts, processes and a `/run` of their own: whatever they write outside of their
 * folder, mount or start is gone with them, also where nobody ends them in order. They see this machine's files and
 * control groups. Needs root on Linux.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { LabHost } from './namespaces.ts'

const prefix = 'naru-cell-'

/** `$1` is the cell's folder. */
const walls = `
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
`

/** The first process takes leave of those that lost their parent, or whoever ends them waits in vain. */
const kept = (script: string): string => `(${script}) & wait $!`

export class Cell implements AsyncDisposable {
  /** Seen from outside and from within by the same path. */
  readonly folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`))
  readonly #child: ChildProcess
  #said = ''

  /** @param script of sh(1): when it ends, whatever it started ends with it. `$1` is the folder */
  constructor(host: LabHost, script: string) {
    removeLeftOvers()
    chmodSync(this.folder, 0o755)
    const unshare = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    // Not `ip netns exec`, which hides the control groups.
    const argv = [
      `--net=/run/netns/${host.namespace}`,
      ...unshare,
      'sh',
      '-ec',
      walls + kept(script),
      'sh',
      this.folder,
    ]
    this.#child = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (text: Buffer): void => void (this.#said = (this.#said + text.toString()).slice(-8192))
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
  }

  /** Name of a control group that belongs to this cell alone. */
  get group(): string {
    return basename(this.folder)
  }

  /** Resolves when `isSo` throws no more. @throws its last reason, with what the cell said, after `ms` or at its end */
  async until(what: string, isSo: () => unknown, ms = 20_000): Promise<void> {
    const began = performance.now()
    for (;;) {
      try {
        await isSo()
        return
      } catch (error) {
        const over = this.#child.exitCode !== null || performance.now() - began > ms
        if (over) throw new Error(`${what}: ${String(error)}\n${this.#said}`, { cause: error })
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Runs a command within, to its end. */
  run(argv: readonly string[]): string {
    const { pid } = this.#child
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return execFileSync('nsenter', ['-t', String(first), '--mount', '--pid', '--net', ...argv], {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = new Promise((resolve) => this.#child.once('close', resolve))
      this.#child.kill('SIGKILL')
      await gone
    }
    removeGroups(this.group)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Of test processes that were killed; what ran in those cells went with their hosts. */
function removeLeftOvers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(prefix) ? name.slice(prefix.length).split('-')[0] : undefined
    if (!pid || existsSync(`/proc/${pid}`)) continue
    removeGroups(name)
    rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

/** Of every hierarchy, from the leaves up; the processes are gone. */
function removeGroups(name: string): void {
  for (const hierarchy of readdirSync('/sys/fs/cgroup')) removeGroup(join('/sys/fs/cgroup', hierarchy, name))
  removeGroup(join('/sys/fs/cgroup', name))
}

function removeGroup(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) removeGroup(join(path, entry.name))
    rmdirSync(path)
  } catch {
    // It was never there, or the kernel still lets somebody go: an empty group does no harm.
  }
}
