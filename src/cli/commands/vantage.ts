/** `naru vantage`: on another machine of yours; it tries a port of whoever asks with the key, and of nobody else. */
import { parsePort } from '../../base/port.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { Verb } from '../verb.ts'

const results: Readonly<Record<string, Text>> = {
  answered: say('answered'),
  refused: say('refused'),
  silent: say('no answer'),
  'refused: no proof': say('turned away: it does not know the key'),
}

export const verb: Verb = {
  name: 'vantage',
  summary: say('on another machine: try a port from there, for naru doctor'),
  about: say(
    'Waits for `naru doctor --vantage` with the same key and dials back its caller alone, a few times a minute. It cannot be used to scan anyone. Ctrl-C ends it.',
  ),
  options: [
    { name: 'port', value: 'PORT', text: say('listen here (default 6279)') },
    {
      name: 'key',
      value: 'KEY',
      text: say('in place of a new one (or NARU_VANTAGE_KEY)'),
    },
  ],
  examples: [
    {
      command: 'naru vantage',
      text: say('then there: naru doctor iis --vantage THIS --key KEY'),
    },
  ],
  json: say('{key, port}, then one object a question: {from, port, result}'),
  async run(context) {
    const { deps, io, print, json } = context
    const port = context.option('port')
    const key = context.option('key') ?? io.env['NARU_VANTAGE_KEY']
    const signal = context.interrupt()
    await using vantage = await deps.vantage({
      ...(port === null ? {} : { port: parsePort(port) }),
      ...(key === undefined ? {} : { key }),
      onAsked: (asked) =>
        json
          ? print.json(asked, { line: true })
          : print.talk(
              `${asked.from}${asked.port === null ? '' : `:${asked.port}`}  ${print.say(results[asked.result] ?? verbatim(asked.result))}`,
            ),
    })
    if (json) print.json({ key: vantage.key, port: vantage.port }, { line: true })
    else {
      print.data(`${print.say(say('key'))}: ${vantage.key}`)
      print.talk(say`Now there: naru doctor NAME --vantage THIS_ADDRESS:${vantage.port} --key ${vantage.key}`)
    }
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    return 0
  },
}
