/** Windows sets ranges of ports aside (Hyper-V, WSL, containers); nobody else may bind them, though none is in use. */
import { say } from '../../base/text.ts'
import { defineCheck, heldAt, listenOf } from './contract.ts'

export const reservedRange = defineCheck({
  code: 'reserved-range',
  hop: 'relay',
  title: say('Windows has reserved the port'),
  explains: say(
    'Binding fails with EACCES though nobody listens: `netsh int ipv4 show excludedportrange` has the port.',
  ),
  remedy: say('choose a port outside the reserved ranges'),
  async look(subject, { signal }) {
    const listen = listenOf(subject)
    const { platform } = await subject.look.facts()
    if (platform !== 'win32' || !listen || heldAt(subject, 'relay')) return null
    for (const protocol of listen.protocols) {
      const argv = ['netsh', 'int', 'ipv4', 'show', 'excludedportrange', `protocol=${protocol}`] as const
      const { stdout } = await subject.host.runner.run([...argv], { signal })
      const range = parseExcludedRanges(stdout).find(
        ({ first, last }) => first <= listen.ports.last && listen.ports.first <= last,
      )
      if (!range) continue
      const where = `${range.first}-${range.last}`
      return {
        evidence: [say`${protocol} ports ${where} are excluded`],
        fixes: [
          {
            text: say('listen on another port'),
            command: `naru edit ${subject.rule?.name ?? 'NAME'} --listen ${range.last + 1}`,
          },
          {
            instead: true,
            text: say('restart the service that made the reservation (as administrator)'),
            command: 'net stop winnat && net start winnat',
          },
        ],
      }
    }
    return null
  },
})

/** Rows of two numbers, a `*` behind those an administrator set; headings are translated and have none. */
export function parseExcludedRanges(text: string): { first: number; last: number }[] {
  return [...text.matchAll(/^[ \t]*(\d{1,5})[ \t]+(\d{1,5})[ \t]*(?:\*[ \t]*)?\r?$/gm)].map(
    ([, first, last]) => ({
      first: Number(first),
      last: Number(last),
    }),
  )
}
