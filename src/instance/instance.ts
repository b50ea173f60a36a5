/**
 * One Naru has one folder of state: who runs, where its API is, its journal. A lock says that it lives; a folder whose
 * owner is dead is free to be taken over, journal and all.
 */
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, readlinkSync } from 'node:fs'
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  rmdir,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { systemClock, pause } from '../base/clock.ts'
import { homeFolder } from '../base/home.ts'
import { Latest } from '../base/latest.ts'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import { replaceFile } from '../base/replace-file.ts'
import { say } from '../base/text.ts'
import { isOwn, mustBeTrusted, temporaryPlace, whyUntrusted } from '../base/trust.ts'
import { Journal, type JournalEntry } from './journal.ts'
import { readNews, writeNews, type RuleNews } from './rule-news.ts'
import { markOf } from './state-mark.ts'

/** Who holds a folder. */
export interface Holder {
  readonly pid: number
  /** What tells a process from a later one with its pid; null where the system has no such thing. */
  readonly started: string | null
  /** Where that pid counts; a container that shares the folder has pids of its own. Null where the system has no such thing. */
  readonly pidNamespace?: string | null
  /** A socket that takes connections while it lives, for those whom its pid says nothing. */
  readonly life?: string
  /** The rule file, or null for a Naru without one. */
  readonly file: string | null
  readonly socket: string
  /** Where the web page is, once it is. */
  readonly web: string | null
}

export interface Instance {
  readonly folder: string
  readonly journalPath: string
  readonly holder: Holder
  /** What its openings carry where a saved list may bring them back. @throws NaruError UNTRUSTED_PATH, STATE_FOLDER */
  mark(): Promise<string>
  /** Writes down where the web page is. */
  announce(web: string | null): Promise<void>
  /** Another process holds it from now on; this one stays until its connections end. */
  passOn(): Promise<void>
  /** This one, which passed it on, holds no port any more. */
  letGo(): Promise<void>
  /** Asks those who passed it on, and whose successor is gone, for the ports that they hold. Resolves within 3 s. */
  askForPorts(): Promise<void>
  /** Processes that passed it on and are still there, by the pids of this PID namespace: those of another are left out. */
  leaving(): Promise<readonly number[]>
  /** Tells those what became of rules whose connections they have. One call after the other. */
  tellLeaving(news: readonly RuleNews[]): Promise<void>
  /** What this one, which passed it on, was told after `since` (`systemMs`), and since when to ask the next time. */
  news(since: number): Promise<{ readonly news: readonly RuleNews[]; readonly since: number }>
  /** Frees the folder, and removes it where `forget` and its journal has nothing in force. Twice is harmless. */
  release(options?: { forget?: boolean }): Promise<void>
}

/** Holds the folder no more; its connections go on. */
interface Leaving extends Holder {
  /** It has let go of its ports, too. */
  readonly letGo?: boolean
}

/** UDP sessions end at once; a process that does not answer is not waited for. */
const portsWithinMs = 3000

/** `$NARU_STATE`, or the system's place for state. @throws NaruError UNTRUSTED_PATH where others may write there */
export function stateRoot(env: NodeJS.ProcessEnv = process.env): string {
  const root = placeOfState(env)
  mustBeTrusted(root, elsewhere)
  return root
}

const elsewhere = say('name a folder of your own with NARU_STATE')

function placeOfState(env: NodeJS.ProcessEnv): string {
  if (env.NARU_STATE) return resolve(env.NARU_STATE)
  if (process.platform === 'win32')
    return join(env.LOCALAPPDATA ?? join(homeFolder(env), 'AppData', 'Local'), 'naru')
  // After `su` or `sudo -E` it is still the user's.
  if (env.XDG_STATE_HOME && isAbsolute(env.XDG_STATE_HOME) && isOwn(env.XDG_STATE_HOME))
    return join(env.XDG_STATE_HOME, 'naru')
  return process.getuid?.() === 0 ? '/var/lib/naru' : join(homeFolder(env), '.local', 'state', 'naru')
}

/**
 * The same file, by whatever path, is the same instance. What a last link leads to may be swapped under the daemon that
 * runs (a ConfigMap, /nix/store), and it stays that file's.
 */
export async function instanceIdOf(file: string): Promise<string> {
  const folder = await realpath(dirname(resolve(file))).catch(() => dirname(resolve(file)))
  return createHash('sha256')
    .update(join(folder, basename(file)))
    .digest('hex')
    .slice(0, 12)
}

/** The instance of that file, and who holds it: by its name, by the path it was started with, or by what both lead to. */
export async function instanceOf(
  root: string,
  file: string,
): Promise<{ readonly id: string; readonly holder: Holder | null }> {
  const id = await instanceIdOf(file)
  const named = await holderOf(root, id)
  if (named) return { id, holder: named }
  const path = resolve(file)
  const real = await realpath(path).catch(() => path)
  for (const { folder, ...holder } of await running(root)) {
    if (holder.file === null) continue
    const same = holder.file === path || (await realpath(holder.file).catch(() => null)) === real
    if (same) return { id: basename(folder), holder }
  }
  return { id, holder: null }
}

/** @throws NaruError ALREADY_RUNNING where its holder lives, UNTRUSTED_PATH, STATE_FOLDER */
export async function claim(root: string, id: string, file: string | null): Promise<Instance> {
  const folder = join(root, id)
  let holder: Holder | null = null
  let life: Disposable | null = null
  try {
    await ownFolder(folder)
    holder = thisProcess(file, await socketPath(folder, id))
    life = showLife(holder)
    await takeLock(folder, holder)
  } catch (error) {
    life?.[Symbol.dispose]()
    if (holder) await forgetSockets(folder, holder)
    if (error instanceof NaruError) throw error
    throw new NaruError('STATE_FOLDER', { folder, why: messageOf(error) }, { cause: error })
  }
  return instanceIn(folder, holder, 'held', life)
}

function thisProcess(file: string | null, socket: string): Holder {
  const { pid } = process
  const holder = { pid, started: startOf(pid), pidNamespace: pidNamespace(), file, socket, web: null }
  if (holder.pidNamespace === null) return holder
  return { ...holder, life: join(dirname(socket), `l${randomBytes(4).toString('hex')}`) }
}

/** The folder is there, and nobody else can have put anything into it. @throws NaruError UNTRUSTED_PATH */
async function ownFolder(folder: string): Promise<void> {
  mustBeTrusted(folder, elsewhere)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of ['', ...(await readdir(folder))]) mustBeTrusted(join(folder, name), elsewhere)
}

/** Its holder hands over to this process: the lock is ours once we `announce`. */
export function succeed(root: string, id: string, before: Holder): Instance {
  const { file } = before
  // The socket of the one before is taken away when that one closes it.
  const socket = before.socket.endsWith('+') ? before.socket.slice(0, -1) : `${before.socket}+`
  const holder = thisProcess(file, socket)
  return instanceIn(join(root, id), holder, 'promised', showLife(holder))
}

function instanceIn(
  folder: string,
  holder: Holder,
  state: 'held' | 'promised' | 'passed-on' | 'released',
  life: Disposable,
): Instance {
  const leavingPath = join(folder, `leaving-${process.pid}`)
  const newsPath = join(folder, 'news')
  // Thousands of openings ask at once, each for a descriptor.
  const mark = new Latest(() => markOf(dirname(folder)))
  /** The last writing of the lock: whoever takes it away waits for that, or it would come back. */
  let announcing: Promise<void> = Promise.resolve()
  return {
    folder,
    journalPath: join(folder, 'journal'),
    holder,
    mark: () => mark.get(),
    async announce(web) {
      if (state === 'passed-on' || state === 'released') return
      state = 'held'
      const write = async (): Promise<void> => {
        if (state !== 'held') return
        await replaceFile(lockPath(folder), JSON.stringify({ ...holder, web }), { mode: 0o600 })
      }
      announcing = announcing.catch(() => {}).then(write)
      await announcing
    },
    async passOn() {
      state = 'passed-on'
      await replaceFile(leavingPath, JSON.stringify(holder), { mode: 0o600 })
    },
    async letGo() {
      if (state === 'passed-on')
        await replaceFile(leavingPath, JSON.stringify({ ...holder, letGo: true }), { mode: 0o600 })
    },
    askForPorts: () => askForPorts(folder),
    leaving: async () => (await leavingIn(folder)).filter(hasOurPids).map(({ pid }) => pid),
    async tellLeaving(news) {
      if ((await leavingIn(folder)).length > 0) await writeNews(newsPath, news)
      else await rm(newsPath, { force: true })
    },
    news: (since) => readNews(newsPath, since),
    async release({ forget = false } = {}) {
      life[Symbol.dispose]()
      if (state === 'passed-on') await unlink(leavingPath).catch(() => {})
      const held = state === 'held'
      // One that was only promised the place announces itself no more, either.
      if (state !== 'passed-on') state = 'released'
      if (!held) return
      await announcing.catch(() => {})
      // Whoever finds a journal without a lock undoes what is in it.
      const empty = forget && !(await Journal.holdsAny(join(folder, 'journal')).catch(() => true))
      await unlink(lockPath(folder)).catch(() => {})
      await forgetSockets(folder, holder)
      if (empty) await rm(folder, { recursive: true, force: true }).catch(() => {})
    },
  }
}

async function askForPorts(folder: string): Promise<void> {
  // In another PID namespace that pid is somebody else's.
  const asked = (await leavingIn(folder)).filter((one) => !one.letGo && hasOurPids(one))
  for (const { pid } of asked) {
    try {
      process.kill(pid, 'SIGUSR2')
    } catch {
      // It ended by itself.
    }
  }
  const end = systemClock.monotonic() + portsWithinMs
  while (asked.length > 0 && systemClock.monotonic() < end) {
    if ((await leavingIn(folder)).every(({ letGo }) => letGo)) return
    await pause(20)
  }
}

async function leavingIn(folder: string): Promise<readonly Leaving[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => /^leaving-\d+$/.test(name))
  const found = await Promise.all(
    names.map(async (name) => {
      const holder = await readHolder(join(folder, name))
      if (holder && (await lives(holder))) return [holder]
      await unlink(join(folder, name)).catch(() => {})
      return []
    }),
  )
  return found.flat()
}

/** Every instance whose holder lives. */
export async function running(root: string): Promise<readonly (Holder & { readonly folder: string })[]> {
  const held = (await folders(root)).map(async (id) => {
    const folder = join(root, id)
    const holder = await readHolder(lockPath(folder))
    return holder && (await lives(holder)) ? { ...holder, folder } : null
  })
  return (await Promise.all(held)).filter((one) => one !== null)
}

/** Who holds that instance, or null where nobody living does. */
export async function holderOf(root: string, id: string): Promise<Holder | null> {
  const holder = await readHolder(lockPath(join(root, id)))
  return holder && (await lives(holder)) ? holder : null
}

/** Folders whose holder died without cleaning up, or ended with something left in its journal. */
export async function abandoned(root: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const id of await folders(root)) {
    const lock = lockPath(join(root, id))
    const holder = await readHolder(lock)
    if (holder ? !(await lives(holder)) : await wasLeft(join(root, id))) found.push(id)
  }
  return found
}

/** Without a lock: who has just made the folder has nothing in its journal. */
function wasLeft(folder: string): Promise<boolean> {
  return Journal.holdsAny(join(folder, 'journal')).catch(() => false)
}

/** What is in force by every journal of this root; null where one cannot be read whole. */
export async function inForce(root: string): Promise<readonly JournalEntry[] | null> {
  const read = (await folders(root)).map((id) => Journal.peek(join(root, id, 'journal')).catch(() => null))
  const all = await Promise.all(read)
  return all.includes(null) ? null : all.flatMap((entries) => entries ?? [])
}

/** What the page logs in with; kept over restarts. */
export const tokensPath = (folder: string): string => join(folder, 'tokens')

async function folders(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

/** `link` makes the lock with its content in one step, so a half-written lock is never seen. */
async function takeLock(folder: string, holder: Holder): Promise<void> {
  const lock = lockPath(folder)
  const mine = `${lock}.${process.pid}.${randomBytes(4).toString('hex')}`
  await writeFile(mine, JSON.stringify(holder), { mode: 0o600, flush: true })
  try {
    for (let attempt = 0; attempt < 100; attempt++) {
      try {
        return await link(mine, lock)
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error
      }
      const other = await readHolder(lock)
      if (other && (await lives(other)))
        throw new NaruError('ALREADY_RUNNING', { pid: other.pid, file: other.file ?? folder })
      if (!(await removeDeadLock(lock, mine))) await pause(10)
    }
    throw new Error('the lock is contended')
  } finally {
    await unlink(mine).catch(() => {})
  }
}

/**
 * Only who holds the takeover may take a dead lock away, and looks again while holding it: so nobody removes the lock
 * of one who was faster. False where somebody else is at it.
 */
async function removeDeadLock(lock: string, mine: string): Promise<boolean> {
  const takeover = `${lock}.takeover`
  try {
    await link(mine, takeover)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    const other = await readHolder(takeover)
    if (other && !(await lives(other))) await unlink(takeover).catch(() => {})
    return false
  }
  const holder = await readHolder(lock)
  if (!holder || !(await lives(holder))) {
    await unlink(lock).catch(() => {})
    if (holder) await forgetSockets(dirname(lock), holder)
  }
  await unlink(takeover).catch(() => {})
  return true
}

function lockPath(folder: string): string {
  return join(folder, 'lock')
}

/** Null also where somebody else could have written it. */
async function readHolder(path: string): Promise<Holder | null> {
  if (whyUntrusted(path)) return null
  try {
    const holder = JSON.parse(await readFile(path, 'utf8')) as Holder
    return typeof holder.pid === 'number' ? holder : null
  } catch {
    return null
  }
}

function lives(holder: Holder): Promise<boolean> {
  return hasOurPids(holder) ? Promise.resolve(isAlive(holder)) : answers(holder.life)
}

function hasOurPids({ pidNamespace: where = null }: Holder): boolean {
  return where === null || where === pidNamespace()
}

/** Linux: pid_namespaces(7), namespaces(7). */
function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return null
  }
}

/** Takes connections, and has nothing to say. It keeps no process alive, and nobody listens there once it is dead. */
function showLife({ life }: Holder): Disposable {
  if (life === undefined) return { [Symbol.dispose]() {} }
  const server = createServer((caller) => caller.destroy())
  // Where there can be no socket, another PID namespace takes this one for dead.
  server.on('error', () => {})
  server.listen({ path: life }).unref()
  try {
    chmodSync(life, 0o600)
  } catch {
    // It is not there.
  }
  return { [Symbol.dispose]: () => void server.close() }
}

/** The system answers a connection to a Unix socket at once, however busy its listener is: unix(7). */
function answers(path: string | undefined): Promise<boolean> {
  if (path === undefined || whyUntrusted(path)) return Promise.resolve(false)
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => (socket.destroy(), resolve(true)))
    socket.once('error', (error) => resolve(['EAGAIN', 'EACCES'].includes(errnoOf(error) ?? '')))
  })
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
  return started === null || startOf(pid) === started
}

/** Linux: boot id and field 22 of /proc/PID/stat, proc_pid_stat(5): after a reboot pids begin anew. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)}-${ticks}`
  } catch {
    return null
  }
}

/**
 * A Unix socket's path takes 103 bytes everywhere; one in a deep state folder lies in a new folder of its own instead,
 * which nobody else can have made, and which the lock names.
 */
async function socketPath(folder: string, id: string): Promise<string> {
  if (process.platform === 'win32') return `\\\\.\\pipe\\naru-${id}`
  const path = join(folder, 'api')
  if (Buffer.byteLength(path) <= longestSocketPath) return path
  for (const place of shortPlaces()) {
    if (Buffer.byteLength(place) > longestShortPlace || whyUntrusted(place)) continue
    const made = await mkdtemp(join(place, ownSockets)).catch(() => null)
    if (made !== null) return join(made, 'api')
  }
  throw new Error(`its path is too long for a socket, and there is no other place for one`)
}

const longestSocketPath = 100
/** What is made there adds `/naru-XXXXXX/api`. */
const longestShortPlace = longestSocketPath - 16
const ownSockets = 'naru-'

function shortPlaces(): readonly string[] {
  return [process.env.XDG_RUNTIME_DIR ?? '', '/run', temporaryPlace(), '/tmp'].filter(Boolean)
}

/** Takes away the folder that `socketPath` made, where it made one and its sockets are all that is in it. */
async function forgetSockets(folder: string, { socket, life }: Holder): Promise<void> {
  const made = dirname(socket)
  if (life !== undefined && dirname(life) === made && !whyUntrusted(life)) await unlink(life).catch(() => {})
  if (made === folder || !basename(made).startsWith(ownSockets) || whyUntrusted(socket)) return
  const intakes = (await readdir(made).catch(() => [])).filter((name) => /^f[\da-z]{1,7}$/.test(name))
  for (const path of [socket, `${socket}.place`, ...intakes.map((name) => join(made, name))])
    await unlink(path).catch(() => {})
  await rmdir(made).catch(() => {})
}
