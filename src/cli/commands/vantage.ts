/** `naru vantage`: on another machine of yours; it tries a port of whoever asks with the key, and of nobody else. */
import { parsePort } from '../../base/port.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { Verb } from '../verb.ts'

const results: Readonly<Record<string, Text>> = {
  answered: say('answered', '연결됨'),
  refused: say('refused', '거부됨'),
  silent: say('no answer', '응답 없음'),
  'refused: no proof': say('turned away: it does not know the key', '돌려보냄: 키가 다릅니다'),
}

export const verb: Verb = {
  name: 'vantage',
  summary: say(
    'on another machine: try a port from there, for naru doctor',
    '다른 컴퓨터에서 실행해 naru doctor 대신 밖에서 시험',
  ),
  about: say(
    'Waits for `naru doctor --vantage` with the same key and dials back its caller alone, a few times a minute. It cannot be used to scan anyone. Ctrl-C ends it.',
    '같은 키로 요청하는 `naru doctor --vantage`를 기다렸다가, 요청한 쪽으로만 분당 몇 번 연결해 봅니다. 다른 곳을 스캔하는 데 쓸 수 없습니다. Ctrl-C로 끝냅니다.',
  ),
  options: [
    { name: 'port', value: 'PORT', text: say('listen here (default 6279)', '수신 대기할 포트 (기본 6279)') },
    {
      name: 'key',
      value: 'KEY',
      text: say(
        'in place of a new one (or NARU_VANTAGE_KEY)',
        '새로 만들지 않고 이 키를 사용 (또는 NARU_VANTAGE_KEY)',
      ),
    },
  ],
  examples: [
    {
      command: 'naru vantage',
      text: say(
        'then there: naru doctor iis --vantage THIS --key KEY',
        '그다음 원래 컴퓨터에서: naru doctor iis --vantage 주소 --key 키',
      ),
    },
  ],
  json: say(
    '{key, port}, then one object a question: {from, port, result}',
    '{key, port} 다음에 요청마다 {from, port, result}',
  ),
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
      print.data(`${print.say(say('key', '키'))}: ${vantage.key}`)
      print.talk(
        say(
          `Now there: naru doctor NAME --vantage THIS_ADDRESS:${vantage.port} --key ${vantage.key}`,
          `이제 원래 컴퓨터에서: naru doctor 이름 --vantage 이_컴퓨터_주소:${vantage.port} --key ${vantage.key}`,
        ),
      )
    }
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    return 0
  },
}
