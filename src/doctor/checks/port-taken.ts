/** Another program holds the port that the rule is to listen on. */
import { formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, heldAt, listenOf, problemAt } from './contract.ts'

export const portTaken = defineCheck({
  code: 'port-taken',
  hop: 'relay',
  title: say('another program has the port', '다른 프로그램이 포트를 쓰고 있습니다'),
  explains: say(
    'The rule does not listen, and the socket table names another holder of its port (EADDRINUSE).',
    '규칙이 포트를 열지 못했고, 소켓 표에 그 포트를 쓰는 다른 프로그램이 있습니다(EADDRINUSE).',
  ),
  remedy: say('end that program, or listen on another port', '그 프로그램을 끝내거나 다른 포트를 쓰세요'),
  cheap: true,
  async look(subject) {
    const listen = listenOf(subject)
    if (!listen || heldAt(subject, 'relay')) return null
    const failed = problemAt(subject, 'relay')
    if (failed !== null && failed !== 'LISTEN_IN_USE') return null
    const held = (await subject.look.listeners(listen.ports)).filter(
      (entry) =>
        listen.protocols.includes(entry.protocol) &&
        entry.port >= listen.ports.first &&
        entry.port <= listen.ports.last &&
        meets(listen.address, entry.address) &&
        entry.process?.pid !== process.pid,
    )
    const [first] = held
    if (!first) return null
    const who = first.process ? `${first.process.name} (pid ${first.process.pid})` : null
    return {
      evidence: [
        say(
          `${formatEndpoint(first.address, first.port)}/${first.protocol} is held by ${who ?? 'a program of another user'}`,
          `${formatEndpoint(first.address, first.port)}/${first.protocol}: ${who ?? '다른 사용자의 프로그램'}{이/가} 쓰고 있습니다`,
        ),
      ],
      fixes: [
        {
          text: say('see what it is', '어떤 프로그램인지 확인하세요'),
          command: `naru ports --find ${first.port}`,
        },
        {
          text: say('or listen on another port', '또는 다른 포트를 쓰세요'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --listen PORT`,
        },
      ],
    }
  },
})

function meets(wanted: string | null, taken: string): boolean {
  return (
    wanted === null ||
    wanted === taken ||
    taken === '0.0.0.0' ||
    taken === '::' ||
    wanted === '0.0.0.0' ||
    wanted === '::'
  )
}
