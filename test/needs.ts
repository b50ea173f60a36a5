/**
 * What a test needs of the machine. Where it is missing the test is skipped by name with the reason; with CI=true a
 * skip is a failure, so that nothing goes quietly untested.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, it } from 'vitest'
import { Offload } from '../src/linux/bpf/offload.ts'

export interface Needs {
  /** Root on Linux, for namespaces and packet filters. */
  readonly root?: boolean
  readonly platform?: NodeJS.Platform
  /** Commands that must be on PATH (or in /usr/sbin, /sbin). */
  readonly commands?: readonly string[]
  /** Files that must exist. */
  readonly files?: readonly string[]
  /** Descriptors that one process may raise its limit to. */
  readonly descriptors?: number
  /** io_uring as the splice engine uses it. */
  readonly ioUring?: boolean
  /** Programs in the kernel that carry flows (Linux 6.6, CAP_BPF). */
  readonly offload?: boolean
}

/** `describe` where the machine has it all; otherwise one skipped test that says what is missing. */
export function describeWith(needs: Needs, name: string, body: () => void): void {
  const missing = whatIsMissing(needs)
  if (missing === null) describe(name, body)
  else if (process.env.CI === 'true') it(name, () => Promise.reject(new Error(`cannot run here: ${missing}`)))
  else describe.skip(`${name} (skipped: ${missing})`, () => it('needs more than this machine has', () => {}))
}

export function whatIsMissing({
  root,
  platform,
  commands = [],
  files = [],
  descriptors = 0,
  ioUring,
  offload,
}: Needs): string | null {
  if (platform && process.platform !== platform) return `runs on ${platform} only`
  if (root && process.getuid?.() !== 0) return 'needs root'
  const command = commands.find((wanted) => !findCommand(wanted))
  if (command) return `needs the command ${command}`
  const file = files.find((wanted) => !existsSync(wanted))
  if (file) return `needs ${file}`
  if (ioUring && !mayUseIoUring()) return 'needs io_uring (Linux 6.1, not disabled, no seccomp filter)'
  const noOffload = offload ? whyNoOffload() : null
  if (noOffload) return noOffload
  return mostDescriptors() < descriptors ? `needs ${descriptors} descriptors a process` : null
}

/** The hard limit; without one, or without a shell to ask, infinite. */
function mostDescriptors(): number {
  if (process.platform === 'win32') return Infinity
  const told = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
  return told === 'unlimited' ? Infinity : Number(told)
}

function mayUseIoUring(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  if (process.platform !== 'linux' || major < 6 || (major === 6 && minor < 1)) return false
  const disabled = '/proc/sys/kernel/io_uring_disabled'
  const filtered = /^Seccomp:\s*[12]/m.test(readFileSync('/proc/self/status', 'latin1'))
  return !filtered && !(existsSync(disabled) && readFileSync(disabled, 'latin1').trim() !== '0')
}

function whyNoOffload(): string | null {
  const offload = Offload.open()
  if (!(offload instanceof Offload)) return offload.en
  offload.close()
  return null
}

export function findCommand(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null
}
