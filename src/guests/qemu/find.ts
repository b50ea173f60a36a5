/**
 * Which QEMU guests run here, and where each can be talked to. Linux tells every process's arguments: the name and the
 * QMP socket stand there. Anybody may call a process what he likes: a guest is only what root or this user runs, from
 * a QEMU, with a socket that nobody else can have put there. `NARU_QEMU_QMP` adds sockets that are not seen so, also on
 * other systems.
 */
import { readFile, readdir, readlink, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { whyUntrusted } from '../../base/trust.ts'

export interface QemuProcess {
  /** Null where only its socket is known: QEMU has to be asked. */
  readonly name: string | null
  /** The process id, or the socket's path where only that is known. */
  readonly id: string
  /** Null where it was started without one. */
  readonly qmp: string | null
}

export interface FindOptions {
  /** @default '/proc' */
  readonly proc?: string
  /** The network namespace whose guests count: a forward in another one is not on this machine's ports. @default our own */
  readonly namespace?: string
  /** Paths of QMP sockets, `:` between them; the last part may hold `*`. @default NARU_QEMU_QMP */
  readonly sockets?: string | undefined
}

export interface FoundQemu {
  readonly guests: readonly QemuProcess[]
  /** How many more say that they are one, and are another user's or no QEMU. */
  readonly others: number
}

/** A command line longer than this is no QEMU that a person started. */
const longestCommandLine = 256 * 1024

export async function findQemu(options: FindOptions): Promise<FoundQemu> {
  const proc = options.proc ?? '/proc'
  const namespace = options.namespace ?? (await linkOf(join(proc, 'self/ns/net')))
  const pids = (await readdir(proc).catch(() => [])).filter((entry) => /^\d+$/.test(entry))
  const seen = (await Promise.all(pids.map((pid) => qemuOf(proc, pid, namespace)))).filter(
    (one) => one !== null,
  )
  const found = seen.filter((one) => one !== 'not ours')
  const known = new Set(found.map(({ qmp }) => qmp))
  const more = await expand(options.sockets ?? process.env.NARU_QEMU_QMP ?? '')
  const named = more.filter((path) => !known.has(path)).map((path) => ({ name: null, id: path, qmp: path }))
  return { guests: [...found, ...named], others: seen.length - found.length }
}

/** What a QEMU that is started again under the same name does not share: its socket is bound anew. */
export async function instanceOf(qmp: string): Promise<string> {
  const { ino, birthtimeMs } = await stat(qmp)
  return `${ino}@${birthtimeMs}`
}

async function qemuOf(
  proc: string,
  pid: string,
  namespace: string | null,
): Promise<QemuProcess | 'not ours' | null> {
  const argv = await argumentsOf(join(proc, pid, 'cmdline'))
  if (!/^(qemu-system-\w+|qemu-kvm|kvm)$/.test(basename(argv[0] ?? ''))) return null
  const theirs = await linkOf(join(proc, pid, 'ns/net'))
  // Another user's namespace cannot be read; it is most likely ours.
  if (namespace !== null && theirs !== null && theirs !== namespace) return null
  const { name, qmp, libvirts } = parseArguments(argv)
  // libvirt lists it, and holds its socket.
  if (libvirts) return null
  if (!(await isOurQemu(join(proc, pid)))) return 'not ours'
  const folder = (await linkOf(join(proc, pid, 'cwd'))) ?? '/'
  return { name: name ?? `pid-${pid}`, id: pid, qmp: qmp === null ? null : ours(resolve(folder, qmp)) }
}

/**
 * Run by root or this user, from a file that is called so. The file is not told of another user's; root's word is
 * taken for his. `/proc/PID` itself belongs to root where a process hides (PR_SET_DUMPABLE), so its status is asked.
 */
async function isOurQemu(folder: string): Promise<boolean> {
  const status = await readFile(join(folder, 'status'), 'utf8').catch(() => '')
  const users = /^Uid:\s+(.+)$/m.exec(status)?.[1]?.split(/\s+/).map(Number) ?? []
  const trusted = [0, process.getuid?.()]
  if (users.length === 0 || !users.every((user) => trusted.includes(user))) return false
  const file = await linkOf(join(folder, 'exe'))
  return file === null || /qemu|kvm/.test(basename(file))
}

function ours(socket: string): string | null {
  return whyUntrusted(socket) ? null : socket
}

/**
 * `-name web` or `-name guest=web,…`; `-qmp unix:PATH,…`; `-chardev socket,id=ID,path=PATH,… -mon chardev=ID,mode=control`.
 * libvirt hands a socket in as a descriptor, or by a path of its own, and has always called it `charmonitor`.
 */
export function parseArguments(argv: readonly string[]): {
  readonly name: string | null
  readonly qmp: string | null
  readonly libvirts: boolean
} {
  let libvirts = false
  let name: string | null = null
  let qmp: string | null = null
  const chardevs = new Map<string, string>()
  for (const [index, argument] of argv.entries()) {
    const value = argv[index + 1]
    if (value === undefined) break
    const option = argument.replace(/^--/, '-')
    if (option === '-name') name = propertiesOf(value, 'guest').get('guest') ?? name
    if (option === '-qmp' || option === '-qmp-pretty') qmp ??= unixPath(value)
    const properties = propertiesOf(value, option === '-mon' ? 'chardev' : 'backend')
    const path = properties.get('path')
    if (option === '-chardev' && properties.get('id') === libvirtsMonitor) libvirts = true
    else if (option === '-chardev' && properties.get('backend') === 'socket' && path)
      chardevs.set(properties.get('id') ?? '', path)
    if (option === '-mon' && properties.get('mode') === 'control')
      qmp ??= chardevs.get(properties.get('chardev') ?? '') ?? null
  }
  return { name, qmp, libvirts: libvirts && qmp === null }
}

const libvirtsMonitor = 'charmonitor'

/** QEMU's `a,key=value` with `,,` for a comma; the first word without a key goes by the name `implied`. */
function propertiesOf(text: string, implied: string): ReadonlyMap<string, string> {
  const parts = text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','))
  return new Map(
    parts.map((part, index) => {
      const equals = part.indexOf('=')
      return equals === -1
        ? [index === 0 ? implied : part, index === 0 ? part : 'on']
        : [part.slice(0, equals), part.slice(equals + 1)]
    }),
  )
}

function unixPath(value: string): string | null {
  const address = propertiesOf(value, 'address').get('address') ?? ''
  return address.startsWith('unix:') ? address.slice(5) : null
}

async function argumentsOf(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.slice(0, longestCommandLine).split('\0').slice(0, -1)
}

async function linkOf(path: string): Promise<string | null> {
  return readlink(path).catch(() => null)
}

async function expand(paths: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const path of paths.split(':').filter(Boolean)) {
    const pattern = basename(path)
    if (!pattern.includes('*')) {
      found.push(path)
      continue
    }
    const matches = new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`)
    const names = await readdir(dirname(path)).catch(() => [])
    found.push(
      ...names
        .filter((name) => matches.test(name))
        .sort()
        .map((name) => join(dirname(path), name)),
    )
  }
  return found
}
