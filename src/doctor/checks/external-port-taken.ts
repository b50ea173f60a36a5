/** The router already forwards that external port to somebody else. */
import { say } from '../../base/text.ts'
import {
  defineCheck,
  externalPortOf,
  heldAt,
  isPublished,
  listenOf,
  problemAt,
  statusOf,
} from './contract.ts'

export const externalPortTaken = defineCheck({
  code: 'external-port-taken',
  hop: 'router',
  title: say('the external port belongs to another device', '외부 포트를 다른 기기가 쓰고 있습니다'),
  explains: say(
    'The router answered with a conflict (UPnP 718 or 729), or its list has the port for an address that is not ours.',
    '공유기가 충돌(UPnP 718, 729)을 알렸거나, 공유기 목록에서 그 포트가 다른 주소로 가 있습니다.',
  ),
  remedy: say(
    'take another external port, or remove that mapping',
    '다른 외부 포트를 쓰거나 그 매핑을 지우세요',
  ),
  async look(subject) {
    const listen = listenOf(subject)
    const status = statusOf(subject, 'router')
    if (!listen || !isPublished(subject) || heldAt(subject, 'router')) return null
    const port = externalPortOf(subject)
    const own = new Set(
      (await subject.look.interfaces()).flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    )
    const other = (await subject.look.routers())
      .flatMap(({ mappings }) => mappings ?? [])
      .find(
        (mapping) =>
          mapping.externalPort === port &&
          listen.protocols.includes(mapping.protocol) &&
          !mapping.ours &&
          !own.has(mapping.internalAddress),
      )
    if (!other && problemAt(subject, 'router') !== 'ROUTER_PORT_TAKEN') return null
    return {
      evidence: [
        other
          ? say(
              `the router sends ${port}/${other.protocol} to ${other.internalAddress}:${other.internalPort} ("${other.description}")`,
              `공유기가 ${port}/${other.protocol}{을/를} ${other.internalAddress}:${other.internalPort}("${other.description}"){으로/로} 보내고 있습니다`,
            )
          : (status?.text ??
            say('the router says the port is taken', '공유기가 이미 쓰이는 포트라고 합니다')),
      ],
      fixes: [
        {
          text: say('take another external port', '다른 외부 포트를 쓰세요'),
          command: `naru edit ${subject.rule?.name ?? 'NAME'} --external-port ${(port ?? 0) + 1}`,
        },
        {
          text: say(
            'or remove the other mapping, if it is yours to remove',
            '또는 지워도 되는 매핑이면 지우세요',
          ),
          command: `naru router rm ${port}/${other?.protocol ?? 'tcp'}`,
        },
      ],
    }
  },
})
