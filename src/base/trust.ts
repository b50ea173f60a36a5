/**
 * Whether anybody but root and this process's user could put something else at a path: each folder on the way from `/`,
 * each link, and what is there itself, as sshd (`safe_path`) and sudo judge it. A mode without `w` for the group is
 * also one whose ACL lets nobody else write: the group's bits are the ACL's mask (acl(5)). Where nothing is there yet,
 * the folders above it decide. On Windows a profile's folders are its user's by their ACLs, and all is trusted.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { NaruError } from './errors.ts'
import { shellWord } from './shell.ts'
import { say, type Text } from './text.ts'

export interface Distrust {
  /** Where others may write: the path itself or a folder above it. */
  readonly at: string
  readonly why: Text
  /** What mends it; null where that would take a folder from its owner. */
  readonly command: string | null
}

/** The most links on one path, as the kernel has it (path_resolution(7)). */
const mostLinks = 40
/** Write for the group and for everybody; the bit that leaves a folder's entries to their owners. */
const [groupWrites, othersWrite, sticky] = [0o020, 0o002, 0o1000]

/** @param uid whose judgement it is. @default this process's user. @returns null where the path can be trusted */
export function whyUntrusted(path: string, uid = process.getuid?.()): Distrust | null {
  if (uid === undefined) return null
  const words = wordsOf(resolve(path))
  let [at, links] = ['/', 0]
  for (;;) {
    const { seen, link } = look(at)
    if (seen === null) return null
    const why = whyNot(at, seen, uid)
    if (why) return { at, why, command: commandFor(at, seen, { uid, isLast: words.length === 0 }) }
    if (link !== null) {
      // More links than the kernel follows: nobody can use it.
      if (++links > mostLinks) return null
      words.unshift(...wordsOf(link))
      at = isAbsolute(link) ? '/' : dirname(at)
      continue
    }
    const word = words.shift()
    if (word === undefined) return null
    at = word === '..' ? dirname(at) : join(at, word)
  }
}

/** @param mend what to do where the path cannot be made safe where it is. @throws NaruError UNTRUSTED_PATH */
export function mustBeTrusted(path: string, mend: Text): void {
  const distrust = whyUntrusted(path)
  if (distrust) throw untrusted(path, distrust, mend)
}

export function untrusted(path: string, { why, command }: Distrust, mend: Text): NaruError {
  const run = command === null ? mend : say`run: \`${command}\``
  return new NaruError('UNTRUSTED_PATH', { path, why, mend: run })
}

/** As root, a folder that the environment names (`XDG_…`, `HOME`) counts only where it is root's own. */
export function isOwn(folder: string): boolean {
  return process.getuid?.() !== 0 || whyUntrusted(folder) === null
}

/** Where files may be made that nobody else can swap: `$TMPDIR`, unless it is another user's. */
export function temporaryPlace(): string {
  return whyUntrusted(tmpdir()) ? '/tmp' : tmpdir()
}

function wordsOf(path: string): string[] {
  return path.split('/').filter((word) => word !== '' && word !== '.')
}

/** Null where nothing is there, or nobody can get there. */
function look(path: string): { readonly seen: Stats | null; readonly link: string | null } {
  try {
    const seen = lstatSync(path)
    return { seen, link: seen.isSymbolicLink() ? readlinkSync(path) : null }
  } catch {
    return { seen: null, link: null }
  }
}

function whyNot(path: string, seen: Stats, uid: number): Text | null {
  if (!trustedOwners(uid).includes(seen.uid)) return say`${path} belongs to another user (uid ${seen.uid})`
  if (seen.isSymbolicLink() || !othersMayWrite(seen, uid)) return null
  const mode = (seen.mode & 0o7777).toString(8)
  return say`others may write to ${path} (mode ${mode})`
}

/** Whoever has `/` has everything; in a user namespace that is nobody of its own (user_namespaces(7)). */
function trustedOwners(uid: number): readonly number[] {
  return [0, uid, look('/').seen?.uid ?? 0]
}

function othersMayWrite(seen: Stats, uid: number): boolean {
  // Whoever may write to a socket may speak to it, and not put another in its place.
  if (seen.isSocket() || (seen.isDirectory() && (seen.mode & sticky) !== 0)) return false
  if ((seen.mode & othersWrite) !== 0) return true
  if ((seen.mode & groupWrites) === 0) return false
  // A user's own group, which many systems give each user and a umask of 002 with it.
  return uid === 0 || ![0, process.getgid?.()].includes(seen.gid)
}

function commandFor(
  path: string,
  seen: Stats,
  { uid, isLast }: { uid: number; isLast: boolean },
): string | null {
  if (trustedOwners(uid).includes(seen.uid)) return `chmod go-w ${shellWord(path)}`
  if (!isLast) return null
  return uid === 0 ? `chown -h root:root ${shellWord(path)}` : `sudo chown -h ${uid} ${shellWord(path)}`
}
