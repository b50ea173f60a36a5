/** `naru stop`: ends the daemon and waits until it is gone. */
import { systemClock } from '../../base/clock.ts'
import { isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Naru } from '../../model/face.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'stop',
  summary: say('stop the daemon; everything is undone', '데몬을 멈추고 모두 되돌립니다'),
  options: [{ name: 'drain', text: say('let connections finish first', '연결이 끝나기를 기다린 뒤 종료') }],
  examples: [{ command: 'naru stop --drain', text: say('connections finish first', '연결이 끝난 뒤 종료') }],
  json: say('{stopped: true}', '{stopped: true}'),
  async run(context) {
    const { deps, file, print, json } = context
    const daemon = await deps.connect({ file })
    await daemon.stop({ drain: context.switched('drain') })
    await gone(daemon, context.interrupt())
    if (json) print.json({ stopped: true })
    else print.talk(say('stopped', '멈췄습니다'))
    return 0
  },
}

/** The socket goes last: once nobody answers there, all is undone. */
async function gone(daemon: Naru, signal: AbortSignal): Promise<void> {
  const alive = setInterval(() => {}, 1000)
  try {
    while (!signal.aborted) {
      try {
        await daemon.about()
      } catch (error) {
        if (isNaruError(error, 'NOT_RUNNING')) return
      }
      await systemClock.sleep(100, signal).catch(() => {})
    }
  } finally {
    clearInterval(alive)
  }
}
