/** The mapping was there and is gone: the router restarted, or somebody removed it. */
import { say } from '../../base/text.ts'
import { defineCheck, externalPortOf, field, isPublished, listenOf, problemAt, statusOf } from './contract.ts'

export const mappingLost = defineCheck({
  code: 'mapping-lost',
  hop: 'router',
  title: say('the router has lost the mapping'),
  explains: say(
    'Naru holds a mapping that the router’s own list does not have any more: most often the router restarted (its epoch or BOOTID says so).',
  ),
  remedy: say('Naru maps again at once; by hand: --fix'),
  dependsOn: ['router-silent', 'address-changed'],
  async look(subject) {
    const listen = listenOf(subject)
    const status = statusOf(subject, 'router')
    const port = externalPortOf(subject)
    if (!listen || !status || status.state === 'off' || !isPublished(subject)) return null
    if (problemAt(subject, 'router') === 'ROUTER_MAPPING_LOST')
      return sighting(subject.rule?.name, status.text)
    if (status.state === 'broken' || field(status.data, 'externalPort') === undefined) return null
    const routers = (await subject.look.routers()).filter(({ router }) => router.family === 4)
    const there = routers.some(({ mappings }) =>
      mappings?.some(
        (mapping) => mapping.externalPort === port && listen.protocols.includes(mapping.protocol),
      ),
    )
    if (there) return null
    // A list that could not be read says nothing, and that is not "all is well".
    const unread = routers.find((seen) => seen.router.member === status.member && seen.unread !== null)
    if (unread?.unread) throw unread.unread
    if (routers.every(({ mappings }) => mappings === null)) return null
    return sighting(
      subject.rule?.name,
      say`the router’s list has no ${port}/${listen.protocols.join('+')}, which Naru mapped by ${status.member}`,
    )
  },
})

function sighting(rule: string | undefined, evidence: { en: string; ko: string }) {
  return {
    evidence: [evidence],
    fixes: [
      {
        text: say('map it again'),
        command: `naru doctor ${rule ?? 'NAME'} --fix`,
        ours: true,
      },
    ],
  }
}
