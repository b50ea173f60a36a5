/**
 * Reads a file where somebody else may have put something else: opening a FIFO waits for a writer for ever, a device or
 * /proc/PID/pagemap has no end, and each read that hangs takes one of the few threads that all files are read by.
 */
import { constants, type Stats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { say, type Text } from './text.ts'

/** What is there is none that can be read whole. */
export class NoPlainFile extends Error {
  readonly why: Text
  constructor(why: Text) {
    super(why.en)
    this.why = why
  }
}

/** @throws NoPlainFile, or what the system says: ENOENT, EACCES, EISDIR … */
export async function readPlainFile(path: string, mostBytes: number): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  const found = await file.stat()
  mustBePlain(found)
  if (found.size > mostBytes) throw tooLarge(`${found.size}`, mostBytes)
  const bytes = await upTo(file, found.size, mostBytes)
  if (bytes.length > mostBytes) throw tooLarge(`${mostBytes}+`, mostBytes)
  return bytes
}

/** A folder passes: it is named by its own error. @throws NoPlainFile */
export function mustBePlain(found: Stats): void {
  if (!found.isFile() && !found.isDirectory())
    throw new NoPlainFile(say('it is no file but a pipe, a socket or a device'))
}

/** Its size says little: it may grow meanwhile, and files of the system have none. */
async function upTo(file: FileHandle, expected: number, mostBytes: number): Promise<Buffer> {
  let into = Buffer.alloc(Math.max(expected, 4096) + 1)
  let length = 0
  while (length <= mostBytes) {
    const { bytesRead } = await file.read(into, length, into.length - length, null)
    if (bytesRead === 0) break
    length += bytesRead
    if (length === into.length) into = Buffer.concat([into, Buffer.alloc(into.length)])
  }
  return into.subarray(0, length)
}

function tooLarge(size: string, mostBytes: number): NoPlainFile {
  return new NoPlainFile(say`it has ${size} bytes; the most is ${mostBytes}`)
}
