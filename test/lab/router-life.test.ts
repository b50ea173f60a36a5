/**
 * It stays open, on a real router: whatever is killed, suspended, unplugged or given another address, the mapping is
 * back within 5 s of the router answering, and what a killed run left is gone after the next start.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { Forwarder } from '../../src/rules/forwarder.ts'
import { claim } from '../../src/instance/instance.ts'
import { createHost } from '../../src/host/index.ts'
import type { RuleInput } from '../../src/model/naru-api.ts'
import { createRouters } from '../../src/routers/index.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { built } from '../built.ts'
import { fakeParts, World } from '../fakes/parts.ts'
import { NaruProcess, type NaruPlace } from '../journeys/naru-process.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab, type LabHost } from './namespaces.ts'
import { homeAddresses, homeNetwork, reaches, startWebServer, type Home } from './router.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'miniupnpd', 'curl'] } as const
const limits = { timeout: 120_000 }

/** What is promised, on a machine that has a core for it: here a router, its home and the test share two. */
const promisedMs = loadavg()[0]! > availableParallelism() ? 15_000 : 5000

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'naru-lab-life-'))
  folders.push(made)
  return made
}

/** Milliseconds until it is so; looked at every 50 ms. */
async function until(isSo: () => boolean): Promise<number> {
  const began = performance.now()
  while (!isSo()) {
    if (performance.now() - began > 3 * promisedMs) throw new Error(`not within ${3 * promisedMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return performance.now() - began
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const web: RuleInput = {
  listen: '8888',
  target: '127.0.0.1:80',
  publish: { router: 'auto', firewall: 'off' },
}

interface Running extends AsyncDisposable {
  readonly forwarder: Forwarder
  /** As if the machine had slept: wall time goes on, what only counts running time does not. */
  suspend(ms: number): void
}

/** Naru in this process, inside the host that the test has entered: real routers, nothing else of the machine. */
async function running(): Promise<Running> {
  let slept = 0
  const clock = { ...systemClock, now: () => Date.now() + slept }
  const parts = fakeParts(new World(), createMemoryStore({ web }), {
    clock,
    host: createHost(),
    routers: createRouters(),
  })
  const instance = await claim(folder(), 'life', 'a file')
  const { forwarder } = await Forwarder.start(parts, instance, { signal: AbortSignal.timeout(30_000) })
  return {
    forwarder,
    suspend: (ms) => void (slept += ms),
    [Symbol.asyncDispose]: () => forwarder.stop(),
  }
}

/** Exactly one mapping, to the host's address of now. */
function isBack({ router }: Home, address: string = homeAddresses.host): boolean {
  const [mapping, ...others] = router.mappings()
  return others.length === 0 && mapping?.externalPort === 8888 && mapping.internalAddress === address
}

function placeOn({ namespace }: LabHost): NaruPlace {
  return { through: ['ip', 'netns', 'exec', namespace], state: folder() }
}

describeWith(needs, 'a mapping on a real router stays', () => {
  beforeAll(built, 120_000)

  it(
    'when Naru is killed: adopted by the next start, and gone where that does not want it',
    limits,
    async () => {
      await using lab = new Lab()
      await using home = await homeNetwork(lab, { ipv6: false })
      await startWebServer(home.host, 80)
      const place = placeOn(home.host)
      const wanted = ['open', '8888', '127.0.0.1:80', '--router', 'auto', '--name', 'web']
      const killed = new NaruProcess(place, wanted)
      await killed.opened()
      expect(reaches(home.internet, 'http://11.0.0.2:8888/')).toBe(true)
      await killed.kill()
      expect(home.router.mappings()).toHaveLength(1)
      const again = new NaruProcess(place, wanted)
      await again.opened()
      expect(isBack(home)).toBe(true)
      expect(reaches(home.internet, 'http://11.0.0.2:8888/')).toBe(true)
      await again.kill()
      expect(home.router.mappings()).toHaveLength(1)
      const other = new NaruProcess(place, ['open', '9000', '127.0.0.1:80', '--name', 'other'])
      await other.opened()
      expect(home.router.mappings()).toEqual([])
      await other.end()
    },
  )

  it('when the router’s daemon is killed and forgets everything', limits, async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab)
    using _inside = enter(home.host)
    await using _naru = await running()
    expect(isBack(home)).toBe(true)
    await pause(3000)
    await home.router.restart({ killed: true, downMs: 2000 })
    expect(await until(() => isBack(home))).toBeLessThan(promisedMs)
    expect(await until(() => home.router.pinholes().length === 1)).toBeLessThan(promisedMs)
  })

  it('when this machine slept past its lease, on a router that cannot be read back', limits, async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { upnp: false, ipv6: false })
    using _inside = enter(home.host)
    await using naru = await running()
    expect(isBack(home)).toBe(true)
    // The lease ended while nobody renewed it; the router's own clock tells nothing of it.
    home.router.forget()
    naru.suspend(2 * 3_600_000)
    expect(await until(() => isBack(home))).toBeLessThan(promisedMs)
  })

  it('when the cable was out while the router restarted', limits, async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { ipv6: false })
    using _inside = enter(home.host)
    await using _naru = await running()
    await pause(3000)
    home.host.ip('link', 'set', 'eth0', 'down')
    await home.router.restart({ downMs: 4000 })
    expect(home.router.mappings()).toEqual([])
    home.host.ip('link', 'set', 'eth0', 'up')
    home.host.ip('route', 'add', 'default', 'via', homeAddresses.router)
    expect(await until(() => isBack(home))).toBeLessThan(promisedMs)
  })

  it('when this machine is given another address', limits, async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { ipv6: false, secure: false })
    using _inside = enter(home.host)
    await using _naru = await running()
    await pause(3000)
    await moves(home)
    expect(await until(() => isBack(home, '192.168.77.44'))).toBeLessThan(promisedMs)
  })

  it('or says why it cannot: a strict router keeps what the former address mapped', limits, async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { ipv6: false })
    using _inside = enter(home.host)
    await using naru = await running()
    await pause(3000)
    await moves(home)
    const said = async (): Promise<string> => {
      const [rule] = await naru.forwarder.rules.list()
      return rule?.hops.find(({ hop }) => hop === 'router')?.text.en ?? ''
    }
    const words =
      /former address 192\.168\.77\.10; the router lets nobody else remove it, its lease ends in \d+m/
    await expect.poll(said, { timeout: 3 * promisedMs }).toMatch(words)
    // As when that lease has ended.
    home.router.forget()
    await expect.poll(() => isBack(home, '192.168.77.44'), { timeout: 45_000 }).toBe(true)
  })
})

/** As DHCP does it: the old address goes, and after a moment there is another. */
async function moves({ host }: Home): Promise<void> {
  host.ip('address', 'del', `${homeAddresses.host}/24`, 'dev', 'eth0')
  await pause(1000)
  host.ip('address', 'add', '192.168.77.44/24', 'dev', 'eth0')
  host.ip('route', 'add', 'default', 'via', homeAddresses.router)
}
