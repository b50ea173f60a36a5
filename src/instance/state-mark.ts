/**
 * The mark of a state folder: eight random hexadecimal digits in `ROOT/mark`, made once, which every opening carries
 * that a saved ruleset may bring back. It is no hash of the path: containers on the host's network share its firewall,
 * and each has a /var/lib/naru of its own.
 */
import { randomBytes } from 'node:crypto'
import { link, open, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import { mustBeTrusted } from '../base/trust.ts'

const form = /^[0-9a-f]{8}$/

/** Null where nothing was ever opened that carries one. @throws NaruError UNTRUSTED_PATH where others may write it */
export async function readMark(root: string): Promise<string | null> {
  const path = join(root, 'mark')
  mustBeTrusted(path, say`remove ${path}`)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return ''
    throw error
  })
  return form.test(text.trim()) ? text.trim() : null
}

/** The mark, made where there is none. @throws NaruError UNTRUSTED_PATH, STATE_FOLDER */
export async function markOf(root: string): Promise<string> {
  try {
    return (await readMark(root)) ?? (await make(root))
  } catch (error) {
    if (error instanceof NaruError) throw error
    throw new NaruError('STATE_FOLDER', { folder: root, why: messageOf(error) }, { cause: error })
  }
}

/** `link` makes it with its content in one step, and of two who make it at once one wins. */
async function make(root: string): Promise<string> {
  const path = join(root, 'mark')
  const mine = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  const file = await open(mine, 'wx', 0o600)
  try {
    await file.writeFile(`${randomBytes(4).toString('hex')}\n`)
    await file.sync()
    await link(mine, path).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error
      // What is there and is no mark was written by nobody of ours.
      if ((await readMark(root)) !== null) return
      await unlink(path)
      await link(mine, path)
    })
  } finally {
    await file.close()
    await unlink(mine).catch(() => {})
  }
  const made = await readMark(root)
  if (made === null) throw new Error(`${path} cannot be read back`)
  return made
}
