/** Files of other programs, from the disk or from standard input, bounded before they are read. */
import { open } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import { importRules, mostImportBytes } from '../formats/index.ts'
import type { Imported, ImportFormat } from '../model/import-export.ts'

/** @param file a path, or `-` for standard input. @throws NaruError FILE_…, IMPORT_… */
export async function importFile(file: string, from: ImportFormat | null): Promise<Imported> {
  if (file === '-') return importRules(await bytesOf(process.stdin, 'stdin'), { file: 'stdin', from })
  const bytes = await readFile(file)
  return importRules(bytes, { file, from, folder: basename(dirname(resolve(file))) })
}

async function readFile(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r')
    return await bytesOf(file.createReadStream({ autoClose: false }), path)
  } catch (error) {
    if (error instanceof NaruError) throw error
    if (errnoOf(error) === 'ENOENT') throw new NaruError('IMPORT_MISSING', { file: path }, { cause: error })
    throw new NaruError('FILE_UNREADABLE', { file: path, why: whyNot(error) }, { cause: error })
  }
}

async function bytesOf(stream: AsyncIterable<unknown>, file: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
    size += bytes.length
    if (size > mostImportBytes)
      throw new NaruError('FILE_UNREADABLE', {
        file,
        why: say`it has more than ${mostImportBytes} bytes`,
      })
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

function whyNot(error: unknown): Text {
  if (errnoOf(error) === 'EISDIR') return say('it is a folder')
  if (errnoOf(error) === 'EACCES') return say('reading it is not permitted')
  return verbatim(messageOf(error))
}
