/**
 * The paths of Unix listens: what a dead process left is taken away, and nothing else ever is. Whose a socket file is,
 * its inode tells.
 */
import { lstatSync, unlinkSync } from 'node:fs'
import { lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import type { Json } from '../model/hop.ts'

/** sockaddr_un's sun_path without the NUL at its end (unix(7)). */
const mostPathBytes = 107

/** Which file it is, also where another takes its place and its inode's number; null where no socket is there. */
export function socketFileAt(path: string): string | null {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return found?.isSocket() ? `${found.dev}:${found.ino}:${found.birthtimeNs}` : null
}

/** Takes the socket file away if it is still the one that was bound there. */
export function removeSocketFile(path: string, file: string | null): void {
  try {
    if (file !== null && socketFileAt(path) === file) unlinkSync(path)
  } catch {
    // It is gone, or may not be looked at any more: nothing of ours to take away.
  }
}

/** What the journal keeps of a Unix listen: the path before it is bound, and then which file it is. */
export function unixEffect(path: string, file: string | null = null): Json {
  return file === null ? { unix: path } : { unix: path, file }
}

/**
 * Takes away the socket file that a dead process left: the very one that the journal names, and only where nobody
 * listens on it. Without the file's name it was never bound, as far as anybody knows; a dead one is then cleared by who
 * listens there next.
 */
export async function undoUnixEffect(effect: Json): Promise<void> {
  const { unix: path, file } = (effect ?? {}) as { unix?: unknown; file?: unknown }
  if (typeof path !== 'string' || typeof file !== 'string') return
  if (socketFileAt(path) === file && errnoOf(await knock(path)) === 'ECONNREFUSED')
    removeSocketFile(path, file)
}

/** Takes away a socket file that nobody listens on; anything else is left alone. @throws NaruError LISTEN_IN_USE, LISTEN_FAILED */
export async function clearStalePath(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const found = await lstat(path).catch(() => null)
  if (found === null) return
  if (!found.isSocket()) {
    throw new NaruError('LISTEN_FAILED', { listen: `unix:${path}`, why: 'a file that is no socket is there' })
  }
  const error = await knock(path)
  if (errnoOf(error) === 'ECONNREFUSED') await unlink(path)
  else if (error === null) {
    throw new NaruError('LISTEN_IN_USE', { listen: `unix:${path}`, owner: 'another program' })
  } else
    throw new NaruError('LISTEN_FAILED', { listen: `unix:${path}`, why: messageOf(error) }, { cause: error })
}

/** @returns null where somebody listens, else the system's error. */
function knock(path: string): Promise<unknown> {
  return new Promise((resolve) => {
    const probe = connect({ path }, () => {
      probe.destroy()
      resolve(null)
    })
    probe.once('error', resolve)
  })
}

/** Another name in the same folder, this process's own, that is no longer than a socket's may be. */
export function besidePath(path: string): string {
  const folder = dirname(path)
  const room = mostPathBytes - Buffer.byteLength(join(folder, '/'))
  const name = Buffer.from(`${basename(path)}.${process.pid}`)
  return join(folder, name.length <= room ? name.toString() : `.${process.pid}`.slice(-room))
}
