/** The router has no room for another mapping. */
import { withLimit } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import { defineCheck, problemAt, statusOf } from './contract.ts'

export const routerTableFull = defineCheck({
  code: 'router-table-full',
  hop: 'router',
  title: say('the router’s table is full', '공유기의 포트 매핑 표가 가득 찼습니다'),
  explains: say(
    'The router answered UPnP 728, or NAT-PMP/PCP "out of resources".',
    '공유기가 UPnP 728, NAT-PMP/PCP "자원 부족"으로 답했습니다.',
  ),
  remedy: say('remove mappings nobody uses', '쓰지 않는 매핑을 지우세요'),
  dependsOn: ['double-nat', 'carrier-nat'],
  async look(subject) {
    const status = statusOf(subject, 'router')
    if (!status || problemAt(subject, 'router') !== 'ROUTER_TABLE_FULL') return null
    const mappings = (await subject.look.routers()).flatMap((seen) => seen.mappings ?? [])
    const neighbours = new Set(
      (await subject.host.network.neighbours({ signal: withLimit(undefined, 1000) })).map(
        ({ address }) => address,
      ),
    )
    // Permanent, and for an address that nobody answers at: most likely forgotten.
    const stale = mappings
      .filter(
        ({ leaseSecondsLeft, internalAddress, ours }) =>
          !ours && !leaseSecondsLeft && !neighbours.has(internalAddress),
      )
      .slice(0, 5)
    return {
      evidence: [
        status.text,
        ...stale.map(({ externalPort, protocol, internalAddress, description }) =>
          say(
            `${externalPort}/${protocol} → ${internalAddress} ("${description}") looks forgotten`,
            `${externalPort}/${protocol} → ${internalAddress}("${description}"){은/는} 쓰이지 않는 것 같습니다`,
          ),
        ),
      ],
      fixes: [
        { text: say('see the table', '표를 확인하세요'), command: 'naru router ls' },
        ...stale.map(({ externalPort, protocol }) => ({
          text: say('remove a forgotten one', '쓰지 않는 것을 지우세요'),
          command: `naru router rm ${externalPort}/${protocol}`,
        })),
      ],
    }
  },
})
