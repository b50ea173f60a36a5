/** Windows sets ranges of ports aside (Hyper-V, WSL, containers); nobody else may bind them, though none is in use. */
import { say } from '../../base/text.ts'
import { defineCheck, heldAt, listenOf } from './contract.ts'

export const reservedRange = defineCheck({
  code: 'reserved-range',
  hop: 'relay',
  title: say('Windows has reserved the port', 'Windows가 예약한 포트입니다'),
  explains: say(
    'Binding fails with EACCES though nobody listens: `netsh int ipv4 show excludedportrange` has the port.',
    '아무도 쓰지 않는데도 EACCES로 열리지 않습니다. `netsh int ipv4 show excludedportrange`에 그 포트가 있습니다.',
  ),
  remedy: say('choose a port outside the reserved ranges', '예약 범위 밖의 포트를 고르세요'),
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
        evidence: [
          say(`${protocol} ports ${where} are excluded`, `${protocol} ${where}번 포트가 제외 범위입니다`),
        ],
        fixes: [
          {
            text: say('listen on another port', '다른 포트를 쓰세요'),
            command: `naru edit ${subject.rule?.name ?? 'NAME'} --listen ${range.last + 1}`,
          },
          {
            text: say(
              'or restart the service that made the reservation (as administrator)',
              '또는 예약을 만든 서비스를 다시 시작하세요(관리자 권한)',
            ),
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
