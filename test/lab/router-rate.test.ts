/**
 * What held mappings cost a real router, in packets that it gets, while everybody looks all the time. That a hundred
 * cost no more questions than a few is tried on a fake one: miniupnpd takes seconds to add as many.
 */
import { expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { RouterPublisher, type PublishRequest } from '../../src/mappings/publisher.ts'
import { createHost } from '../../src/host/index.ts'
import type { Lease } from '../../src/model/hop.ts'
import { createRouters } from '../../src/routers/index.ts'
import { memoryJournal } from '../fakes/journal.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab } from './namespaces.ts'
import { homeAddresses, homeNetwork, type Home } from './router.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'miniupnpd'] } as const
const signal = (): AbortSignal => AbortSignal.timeout(60_000)
const seconds = 10

function wish(rule: string, first: number, count: number): PublishRequest {
  const ports = { first, last: first + count - 1 }
  const [externalPort, address, allow] = [null, homeAddresses.host, []] as const
  return { rule, by: 'auto', protocols: ['tcp', 'udp'], ports, externalPort, address, allow }
}

/** Packets that came to the router from the home, the answers it was sent back not counted. */
function packets({ router }: Home): number {
  return Number(router.host.run(['cat', '/sys/class/net/lan/statistics/rx_packets']))
}

/** As the daemon does: every rule is looked at every half second here, five times as often as there. */
async function lookAllTheTime(leases: readonly Lease[]): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    const verdicts = await Promise.all(leases.map((lease) => lease.verify({ signal: signal() })))
    expect(verdicts.map(({ state }) => state)).toEqual(leases.map(() => 'held'))
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

describeWith(needs, 'sixteen mappings on a real router', () => {
  for (const igd of [2, 1] as const)
    it(`IGDv${igd}: cost a few packets a second`, { timeout: 120_000 }, async () => {
      await using lab = new Lab()
      await using home = await homeNetwork(lab, { igd })
      using _inside = enter(home.host)
      const tools = { host: createHost(), clock: systemClock, log: silentLog }
      using publisher = new RouterPublisher(createRouters(), tools, 'me')
      const opened = [wish('a', 9000, 4), wish('b', 9100, 4)].map((each) =>
        publisher.open(each, { signal: signal(), record: memoryJournal() }),
      )
      const leases = await Promise.all(opened)
      expect(home.router.mappings()).toHaveLength(16)
      const before = packets(home)
      await lookAllTheTime(leases)
      const rate = (packets(home) - before) / seconds
      if (process.env.NARU_FIGURES) process.stderr.write(`IGDv${igd}: ${rate} packets a second\n`)
      // Each round: an announcement by PCP, a search by SSDP, and by HTTP one list of TCP, one of UDP or two rows.
      expect(rate).toBeLessThan(12)
    })
})
