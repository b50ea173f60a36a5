/**
 * Replaces a file so that at any moment, also after kill -9 or a power cut, there is either the old content or the
 * new: temporary file beside it, fsync, rename, fsync of the folder.
 */
import { randomBytes } from 'node:crypto'
import { open, realpath, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { mustBePlain } from './plain-file.ts'

/**
 * Links are followed; mode and owner stay. A new file gets `mode`. Where a link leads to a device, such as that of a unit
 * which is masked to /dev/null, that would become a file. @throws NoPlainFile
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  { mode = 0o644 }: { mode?: number } = {},
): Promise<void> {
  const target = await realpath(path).catch(() => path)
  const old = await stat(target).catch(() => null)
  if (old) mustBePlain(old)
  const temporary = join(
    dirname(target),
    `.${basename(target)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`,
  )
  try {
    const file = await open(temporary, 'wx', old ? old.mode & 0o7777 : mode)
    try {
      await file.writeFile(content)
      if (old && process.platform !== 'win32') await keepOwner(file, old)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, target)
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  }
  await syncFolder(dirname(target))
}

async function keepOwner(
  file: { chown(uid: number, gid: number): Promise<void>; chmod(mode: number): Promise<void> },
  old: { uid: number; gid: number; mode: number },
): Promise<void> {
  if (process.getuid?.() === 0) await file.chown(old.uid, old.gid)
  await file.chmod(old.mode & 0o7777)
}

/** Makes a rename durable. Windows has no such thing. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
