/** The router forwards to an address that this machine no longer has. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, field, heldAt, isPublished } from './contract.ts'

export const addressChanged = defineCheck({
  code: 'address-changed',
  hop: 'router',
  title: say(
    'our address has changed since the router was told',
    '공유기에 알린 뒤로 이 컴퓨터의 주소가 바뀌었습니다',
  ),
  explains: say(
    'The mapping (ours by its description, or by what Naru holds) points to an address that none of this machine’s interfaces has.',
    '매핑(설명이나 Naru의 기록으로 볼 때 우리 것)이 이 컴퓨터의 어떤 인터페이스에도 없는 주소를 가리킵니다.',
  ),
  remedy: say(
    'map anew, and reserve the address in the router’s DHCP',
    '다시 매핑하고, 공유기 DHCP에서 주소를 고정하세요',
  ),
  async look(subject) {
    if (!isPublished(subject)) return null
    const own = new Set(
      (await subject.look.interfaces()).flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    )
    const lan = await subject.look.lan()
    const held = field(heldAt(subject, 'router')?.data, 'internalAddress')
    const port = externalPortOf(subject)
    const listed = (await subject.look.routers())
      .flatMap(({ mappings }) => mappings ?? [])
      .find((mapping) => mapping.ours && mapping.externalPort === port)
    // What the router itself has is newer than what we remember.
    const pointsTo = listed?.internalAddress ?? (typeof held === 'string' ? held : null)
    if (pointsTo === null || own.has(pointsTo) || !lan) return null
    return {
      evidence: [
        say(
          `the router sends port ${port} to ${pointsTo}; this machine is ${lan.address} now`,
          `공유기는 ${port}번을 ${pointsTo}{으로/로} 보내지만, 이 컴퓨터의 주소는 ${lan.address}입니다`,
        ),
      ],
      fixes: [
        {
          text: say('map it anew', '다시 매핑하세요'),
          command: `naru doctor ${subject.rule?.name ?? 'NAME'} --fix`,
          ours: true,
        },
        {
          text: say(
            `on the router’s page: LAN → DHCP → reserve ${lan.address} for ${lan.interface.mac ?? 'this machine'}`,
            `공유기 관리 페이지: LAN → DHCP → ${lan.interface.mac ?? '이 컴퓨터'}에 ${lan.address} 고정 할당`,
          ),
        },
      ],
    }
  },
})
