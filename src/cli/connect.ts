/** Which `Naru` a verb talks to: the running daemon, or the file alone where none runs. */
import { isNaruError } from '../base/errors.ts'
import { say, sayOf, type Text } from '../base/text.ts'
import type { Naru, RuleStatus } from '../model/naru-api.ts'
import type { Context } from './verb.ts'

export async function daemonOrFile({ deps, file }: Context): Promise<{ naru: Naru; running: boolean }> {
  try {
    const daemon = await deps.connect({ file })
    await daemon.about()
    return { naru: daemon, running: true }
  } catch (error) {
    if (!isNaruError(error, 'NOT_RUNNING')) throw error
  }
  return { naru: await deps.offline({ file }), running: false }
}

/** The daemon's; else what `naru open` holds in another terminal; else the file's, which nobody has opened. */
export async function findRule(
  context: Context,
  name: string,
): Promise<{ status: RuleStatus; traffic: 'known' | 'unknown' }> {
  const [{ naru, running }, elsewhere] = await Promise.all([
    daemonOrFile(context),
    context.deps.openElsewhere(),
  ])
  const other = elsewhere.find((status) => status.name === name)
  if (other && !(running && (await naru.rules.list()).some((status) => status.name === name)))
    return { status: other, traffic: 'unknown' }
  return { status: await naru.rules.get(name), traffic: 'known' }
}

/** What a person is told of: which file is meant is not plain where root's and his own are both there. */
export async function fileOf(naru: Naru): Promise<Text> {
  const file = await naru.about().then(
    (about) => about.file,
    () => null,
  )
  return file === null ? say('the file') : sayOf('file')`${file}`
}

/** After a change where nothing runs: nothing was opened or closed. */
export async function tellFileAlone({ print }: Context, naru: Naru): Promise<void> {
  const file = await fileOf(naru)
  print.talk(say`No Naru runs: only ${file} is changed. \`naru up\` opens its rules.`)
}
