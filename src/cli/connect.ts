/** Which `Naru` a verb talks to: the running daemon, or the file alone where none runs. */
import { isNaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
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

/** After a change where nothing runs: nothing was opened or closed. */
export function tellFileAlone({ print }: Context): void {
  print.talk(
    say(
      'No Naru runs: only the file is changed. `naru up` opens its rules.',
      '실행 중인 Naru가 없어 파일만 바꿨습니다. `naru up`으로 규칙을 엽니다.',
    ),
  )
}
