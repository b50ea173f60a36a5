/**
 * A small text file at a path that a VM's owner chose, who may be another user: what is no plain file (opening a FIFO
 * waits for a writer for ever) or larger than any that VMware writes reads as empty, as does one that is not there.
 */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

const mostBytes = 1 << 20

export async function textOf(path: string): Promise<string> {
  try {
    await using file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const found = await file.stat()
    return found.isFile() && found.size <= mostBytes ? await file.readFile('utf8') : ''
  } catch {
    return ''
  }
}
