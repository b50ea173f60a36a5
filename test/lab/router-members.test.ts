/** Our three clients against a real router: what they say is open is what an outsider reaches and other tools list. */
import { expect, it } from 'vitest'
import { silentLog } from '../../src/base/log.ts'
import { systemClock } from '../../src/base/clock.ts'
import { createHost } from '../../src/host/index.ts'
import type { Json } from '../../src/model/hop.ts'
import type { MappingRequest, Router, RouterMember, RouterTools } from '../../src/routers/contract.ts'
import { natPmp } from '../../src/routers/nat-pmp/index.ts'
import { pcp } from '../../src/routers/pcp/index.ts'
import { upnp } from '../../src/routers/upnp/index.ts'
import { memoryJournal } from '../fakes/journal.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab } from './namespaces.ts'
import { byLinkLocal, homeAddresses, homeNetwork, reaches, startWebServer, upnpc } from './router.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'miniupnpd', 'upnpc', 'curl'],
} as const

const request: MappingRequest = {
  rule: 'web',
  protocol: 'tcp',
  externalPort: 8888,
  anyPort: false,
  internalPort: 80,
  internalAddress: null,
  leaseSeconds: 3600,
  allow: [],
}

function tools(): RouterTools {
  return { host: createHost(), clock: systemClock, log: silentLog }
}

const signal = (): AbortSignal => AbortSignal.timeout(20_000)

async function theRouter(member: RouterMember, family: 4 | 6 = 4): Promise<Router> {
  const found = await member.discover({ signal: signal(), tools: tools() })
  const router = found.find((each) => each.family === family)
  if (!router) throw new Error(`${member.id} found ${JSON.stringify(found)}`)
  return router
}

const members = { pcp: () => pcp(), 'nat-pmp': () => natPmp(), upnp: () => upnp() }

describeWith(needs, 'a real router', () => {
  for (const [id, make] of Object.entries(members)) {
    it(`opens by ${id}, answers from outside, and is closed again`, async () => {
      await using lab = new Lab()
      await using home = await homeNetwork(lab)
      await startWebServer(home.host, 80)
      using _inside = enter(home.host)
      const journal = memoryJournal()
      const router = await theRouter(make())
      const lease = await router.open(request, { signal: signal(), record: journal })
      expect(home.router.mappings()).toEqual([
        { protocol: 'tcp', externalPort: 8888, internalAddress: homeAddresses.host, internalPort: 80 },
      ])
      expect(reaches(home.internet, 'http://11.0.0.2:8888/')).toBe(true)
      expect(upnpc(home.host, '-l')).toContain('8888->192.168.77.10:80')
      expect((await lease.verify({ signal: signal() })).state).toBe('held')
      expect(lease.describe().differs).toEqual([])
      expect(lease.externalAddress).toBe('11.0.0.2')
      await lease.renew({ signal: signal() })
      expect(journal.left()).toHaveLength(1)
      await lease.release({ signal: signal() })
      await lease.release({ signal: signal() })
      expect(home.router.mappings()).toEqual([])
      expect(journal.left()).toEqual([])
      expect(reaches(home.internet, 'http://11.0.0.2:8888/')).toBe(false)
    })
  }

  for (const id of ['pcp', 'upnp'] as const) {
    it(`opens an IPv6 pinhole by ${id}`, async () => {
      await using lab = new Lab()
      await using home = await homeNetwork(lab, { conf: ['min_lifetime=1'] })
      await startWebServer(home.host, 8080)
      expect(reaches(home.internet, 'http://[2600:77::10]:8080/')).toBe(false)
      using _inside = enter(home.host)
      const journal = memoryJournal()
      const router = await theRouter(members[id](), 6)
      const lease = await router.open(
        { ...request, internalPort: 8080, externalPort: 8080 },
        { signal: signal(), record: journal },
      )
      expect(home.router.pinholes()).toEqual([{ protocol: 'tcp', address: homeAddresses.host6, port: 8080 }])
      expect(reaches(home.internet, 'http://[2600:77::10]:8080/')).toBe(true)
      expect((await lease.verify({ signal: signal() })).state).toBe('held')
      await lease.renew({ signal: signal() })
      await lease.release({ signal: signal() })
      // miniupnpd keeps a pinhole that PCP deletes, to the end of a life that we then cut to its shortest.
      await expect.poll(() => home.router.pinholes(), { timeout: 10_000 }).toEqual([])
      expect(journal.left()).toEqual([])
    })
  }

  for (const [id, family] of [
    ['pcp', 4],
    ['pcp', 6],
    ['nat-pmp', 4],
  ] as const)
    it(`by ${id} over IPv${family}, goes on with what another process was granted, unless that may be gone`, async () => {
      await using lab = new Lab()
      await using home = await homeNetwork(lab)
      using _inside = enter(home.host)
      const ports = { externalPort: 8080, internalPort: 8080 }
      const open = async (
        before: readonly Json[],
        wish: Partial<MappingRequest> = {},
      ): Promise<readonly Json[]> => {
        const journal = memoryJournal()
        const router = await theRouter(members[id](), family)
        const record = { ...journal, before }
        const lease = await router.open({ ...request, ...ports, ...wish }, { signal: signal(), record })
        expect(lease).toMatchObject({
          externalPort: 8080,
          externalAddress: family === 4 ? '11.0.0.2' : homeAddresses.host6,
        })
        expect((await lease.verify({ signal: signal() })).state).toBe('held')
        return journal.left()
      }
      // With a number for each rule: one that is deleted and added again has another.
      const rules = (): string =>
        home.router.host
          .run(['nft', '-a', 'list', 'ruleset'])
          .replaceAll(/counter packets \d+ bytes \d+/g, '')
      // A router that has just begun looks the same when it begins anew.
      await new Promise((resolve) => setTimeout(resolve, 4000))
      const first = await open([])
      const opened = rules()
      const second = await open(first)
      expect(rules()).toBe(opened)
      expect(second).toEqual(first)
      const third = await open(second, { leaseSeconds: 1800 })
      expect(rules()).not.toBe(opened)
      await home.router.restart({ killed: true })
      await open(third, { leaseSeconds: 1800 })
      expect(family === 4 ? home.router.mappings() : home.router.pinholes()).toHaveLength(1)
    })

  it('keeps nothing of a pinhole that could not even be asked for', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab)
    using _inside = enter(home.host)
    const router = await theRouter(upnp(), 6)
    const journal = memoryJournal()
    for (const verdict of ['reject with tcp reset', 'drop']) {
      home.router.host.run(['nft', '-f', '-'], { input: takingNoConnection(verdict) })
      const opened = router.open(request, { signal: signal(), record: journal })
      await expect(opened).rejects.toMatchObject({ code: 'ROUTER_SILENT' })
      expect(journal.left()).toEqual([])
    }
  })

  it('finds a router that answers searches over IPv6 alone, and opens a pinhole there', async () => {
    for (const hears of ['unicast', 'multicast'] as const) {
      await using lab = new Lab()
      await using home = await homeNetwork(lab, { pcp: false })
      if (hears === 'unicast') await byLinkLocal(home)
      home.router.host.run(['nft', '-f', '-'], { input: hearingOnly(hears) })
      await startWebServer(home.host, 8080)
      using _inside = enter(home.host)
      const journal = memoryJournal()
      const found = await upnp().discover({ signal: signal(), tools: tools() })
      expect(found.map(({ flavour, family }) => [flavour, family])).toEqual([['upnp-pinhole', 6]])
      const lease = await (found[0] as Router).open(
        { ...request, internalPort: 8080, externalPort: 8080 },
        { signal: signal(), record: journal },
      )
      expect(reaches(home.internet, 'http://[2600:77::10]:8080/')).toBe(true)
      expect(await lease.verify({ signal: signal() })).toMatchObject({ state: 'held' })
      // As after a kill: the journal alone knows where it was.
      await upnp().undo(journal.left()[0] ?? null, { signal: signal(), tools: tools() })
      expect(home.router.pinholes()).toEqual([])
    }
  })
})

/** Is found as ever, and cannot be talked to by IPv6. */
function takingNoConnection(verdict: string): string {
  return `table inet busy
delete table inet busy
table inet busy {
  chain input {
    type filter hook input priority 0
    meta nfproto ipv6 tcp dport 5000 ${verdict}
  }
}
`
}

/** Neither hears a search by IPv4 nor answers there; by IPv6 it hears one of the two ways. */
function hearingOnly(way: 'unicast' | 'multicast'): string {
  const deaf = `ip6 daddr ${way === 'unicast' ? '' : '!='} ff00::/8 udp dport 1900 drop`
  return `table inet deaf {
  chain input {
    type filter hook input priority 0
    meta nfproto ipv4 udp dport 1900 drop
    meta nfproto ipv4 tcp dport 5000 drop
    ${deaf}
  }
}
`
}
