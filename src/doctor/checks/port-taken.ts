/** Another program holds the port that the rule is to listen on. */
import { formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import { defineCheck, heldAt, listenOf, problemAt } from './contract.ts'

export const portTaken = defineCheck({
  code: 'port-taken',
  hop: 'relay',
  title: say('another program has the port'),
  explains: say(
    'The rule does not listen, and the socket table names another holder of its port (EADDRINUSE).',
  ),
  remedy: say('end that program, or listen on another port'),
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
        say`${formatEndpoint(first.address, first.port)}/${first.protocol} is held by ${who ?? say('a program of another user')}`,
      ],
      fixes: [
        {
          text: say('see what it is'),
          command: `naru ports --find ${first.port}`,
        },
        {
          instead: true,
          text: say('listen on another port'),
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
