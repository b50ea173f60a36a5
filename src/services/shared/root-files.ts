/** What systemd and launchd run as root: files that only root may write, and definitions in root's folders. */
import { lstat, mkdir, readFile, realpath, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import { asRoot } from '../../base/privilege.ts'
import { replaceFile } from '../../base/replace-file.ts'
import { say } from '../../base/text.ts'
import { untrusted, whyUntrusted } from '../../base/trust.ts'
import type { ServiceRequest } from '../../model/service.ts'

/** The folder of the package that the script is part of; null where the program is one file. */
export async function packageOf([, script]: readonly string[]): Promise<string | null> {
  return script === undefined ? null : dirname(dirname(await realpath(script).catch(() => script)))
}

/** The first part of the program that others than root may write, and the rules file where they may. */
export async function doubtsOfRoot({ command, file }: ServiceRequest): Promise<readonly NaruError[]> {
  const inProgram = (await programOf(command)).map(doubtAbout).find((one) => one !== null)
  return [inProgram ?? null, file === null ? null : doubtAbout(file)].filter((one) => one !== null)
}

/** What runs as root: node, the script, and the package that it is part of. */
async function programOf(command: readonly string[]): Promise<readonly string[]> {
  const [program = '', script] = command
  const root = await packageOf(command)
  if (script === undefined || root === null) return [program]
  return [program, script, ...['dist/bundle', 'dist/main.js', 'node_modules'].map((path) => join(root, path))]
}

const whereRootWrites = say(
  'keep it where only root writes (`sudo npm install -g naru`, /etc/naru/naru.yaml), or add --force',
)

/** As root would judge it, whoever asks. */
export function doubtAbout(path: string): NaruError | null {
  const distrust = whyUntrusted(path, 0)
  return distrust && untrusted(path, distrust, whereRootWrites)
}

/** What is at a definition's place; null where nothing is. Its text is null where it is no plain file, as a link is none. */
export async function definitionAt(path: string): Promise<{ readonly text: string | null } | null> {
  try {
    return { text: (await lstat(path)).isFile() ? await readFile(path, 'utf8') : null }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/** @param definition.rules the rules file, whose folder the service writes to */
export async function writeDefinition(definition: {
  readonly path: string
  readonly text: string
  readonly rules: string
}): Promise<void> {
  const { path, text, rules } = definition
  await changed(path, ['service', 'install'], async () => {
    await replaceFile(path, text)
    await mkdir(dirname(rules), { recursive: true, mode: 0o755 })
  })
}

export async function removeDefinition(path: string): Promise<void> {
  await changed(path, ['service', 'uninstall'], () => rm(path, { force: true }))
}

async function changed(path: string, words: readonly string[], change: () => Promise<void>): Promise<void> {
  try {
    await change()
  } catch (error) {
    if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM')
      throw new NaruError(
        'NOT_PERMITTED',
        { what: say`write ${path}`, command: asRoot(words) },
        { cause: error },
      )
    throw new NaruError('FILE_UNWRITABLE', { file: path, why: messageOf(error) }, { cause: error })
  }
}
