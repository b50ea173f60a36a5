/** `naru stop`: ends the daemon, waits until it is gone, and says whether everything is undone. */
import { systemClock } from '../../base/clock.ts'
import { isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Naru } from '../../model/face.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'stop',
  summary: say('stop the daemon; everything is undone', '데몬을 멈추고 모두 되돌립니다'),
  about: say(
    'Says "stopped" once the daemon is gone and its journal holds nothing; what could not be undone is named, with exit code 1.',
    '데몬이 끝나고 저널에 남은 것이 없을 때 "멈췄습니다"라고 알립니다. 되돌리지 못한 것이 있으면 알려 주고 종료 코드 1로 끝납니다.',
  ),
  options: [{ name: 'drain', text: say('let connections finish first', '연결이 끝나기를 기다린 뒤 종료') }],
  examples: [{ command: 'naru stop --drain', text: say('connections finish first', '연결이 끝난 뒤 종료') }],
  json: say('{stopped: true}', '{stopped: true}'),
  async run(context) {
    const { deps, file, print, json } = context
    const daemon = await deps.connect({ file })
    const { pid, file: itsFile } = await daemon.about()
    await daemon.stop({ drain: context.switched('drain') })
    if (!(await gone(daemon, pid, context.interrupt()))) {
      print.talk(
        say(
          'not stopped yet: it goes on letting connections finish; `naru stop` ends it now',
          '아직 멈추지 않았습니다. 연결이 끝나기를 계속 기다립니다. 바로 끝내려면 `naru stop`을 실행하세요',
        ),
      )
      return 1
    }
    await deps.mustBeUndone({ file: itsFile ?? file })
    if (json) print.json({ stopped: true })
    else print.talk(say('stopped', '멈췄습니다'))
    return 0
  },
}

/** The socket goes last: once nobody answers there, or another one does. False where nobody waits any more. */
async function gone(daemon: Naru, pid: number, signal: AbortSignal): Promise<boolean> {
  const alive = setInterval(() => {}, 1000)
  try {
    while (!signal.aborted) {
      try {
        if ((await daemon.about()).pid !== pid) return true
      } catch (error) {
        if (isNaruError(error, 'NOT_RUNNING')) return true
      }
      await systemClock.sleep(100, signal).catch(() => {})
    }
    return false
  } finally {
    clearInterval(alive)
  }
}
