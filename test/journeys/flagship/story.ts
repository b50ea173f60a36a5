/**
 * The story Naru exists for, on a whole home network: internet — router — host with a firewall that drops — a guest
 * with a web server. One command opens it all, every hop is broken in turn, and afterwards nothing is left. It is told
 * once for each firewall, and there once for each way to the guest.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Scope } from '../../../src/base/scope.ts'
import { built } from '../../built.ts'
import type { LabFirewall } from '../../lab/firewalls.ts'
import { Lab } from '../../lab/namespaces.ts'
import { guestNeeds, startGuest, type GuestOptions, type LabGuest } from '../../lab/qemu.ts'
import { homeAddresses, homeNetwork, type Home } from '../../lab/router.ts'
import { describeWith } from '../../needs.ts'
import { NaruProcess } from '../naru-process.ts'

export const port = '8888'
const commands = [...(guestNeeds.commands ?? []), 'nft', 'miniupnpd', 'upnpc', 'curl']

/** A firewall of the host, and how somebody else takes Naru's rule out of it. */
export interface Guard {
  readonly name: string
  readonly commands: readonly string[]
  start(home: Home): LabFirewall | Promise<LabFirewall>
  /** @throws where Naru's rule is not there */
  takeRuleOut(firewall: LabFirewall): void
  /** Its own rules come back under new handles whenever one changes. @default false */
  readonly rewrites?: boolean
}

const guests = {
  /** On a bridge, dialled at its own address. */
  direct: {
    name: 'lan',
    network: { bridge: 'br0', hostAddress: '192.168.122.1/24', guestAddress: '192.168.122.15/24' },
  },
  /** On QEMU's own NAT, reached by QEMU's forward; one of somebody else is there already. */
  nat: { name: 'web', forwards: ['tcp:127.0.0.1:2222-:22'] },
} satisfies Record<string, GuestOptions>
type Way = keyof typeof guests
const ways = Object.keys(guests) as Way[]

export function tellStory(guard: Guard): void {
  describeWith(
    { ...guestNeeds, commands: [...commands, ...guard.commands] },
    `a guest’s web server, behind a router and ${guard.name}`,
    () => {
      let scene: Scene
      beforeAll(async () => void (scene = await Scene.lay(guard)), 120_000)
      afterAll(async () => scene?.[Symbol.asyncDispose]())
      describe.each(ways)('by way of %s', (way) => tellWay(() => scene, way))
    },
  )
}

function tellWay(scene: () => Scene, way: Way): void {
  const { name } = guests[way]
  let before: unknown
  let naru: NaruProcess
  // A test that failed leaves nothing to the other way.
  afterAll(() => scene().endEveryNaru())

  it('stays closed while nothing in the guest answers', async () => {
    before = await scene().everything()
    const dead = scene().start([port, `qemu:${name}:81`, '--publish', '--name', 'web'])
    await expect(dead).rejects.toThrow('SERVICE_SILENT')
    expect(await scene().everything()).toEqual(before)
  })

  it('is served to the internet after one command', async () => {
    expect(scene().page()).toBe('nothing')
    naru = await scene().publish(way)
    expect(scene().page(repairMs())).toBe(`hello from ${name}`)
    expect(naru.hop('guest')?.member).toBe(way === 'nat' ? 'qemu' : undefined)
    expect(naru.hop('firewall')?.member).toBe(scene().guard.name)
    expect(naru.hop('router')?.state).toBe('ok')
  })

  it('is served again within 5 s when somebody deletes the mapping', async () => {
    const { home } = scene()
    const description = `http://${homeAddresses.router}:5000/rootDesc.xml`
    const said = home.host.run(['upnpc', '-u', description, '-d', port, 'TCP'])
    expect(said).toContain('returned : 0')
    await scene().servedAgain(way)
    expect(home.router.mappings()).toHaveLength(1)
  })

  it('is served again within 5 s when somebody deletes the firewall’s rule', async () => {
    const { guard, firewall } = scene()
    guard.takeRuleOut(firewall)
    await scene().servedAgain(way)
  })

  if (way === 'nat') forgottenForward(scene, way)

  it('names the guest within 5 s when it stops, and serves it when it is back', async () => {
    const inner = way === 'nat' ? 'guest' : 'service'
    await scene().guest(way).stop()
    await naru.until(`${inner} broken`, () => naru.hop(inner)?.state === 'broken', repairMs())
    expect(naru.hop(inner)?.text.en).toContain(name)
    await scene().startAgain(way)
    await scene().servedAgain(way)
    // It works already; what was broken is called so until three looks in a row saw it well.
    await naru.until('everything called open', () => naru.works, 30_000)
  })

  it('leaves no trace after Ctrl-C, within 5 s', async () => {
    const began = performance.now()
    expect(await naru.interrupt()).toBe(0)
    expect(performance.now() - began).toBeLessThan(5000)
    expect(await scene().everything()).toEqual(before)
    expect(scene().page()).toBe('nothing')
  })

  it('leaves no trace after kill -9 and the next start', async () => {
    const killed = await scene().publish(way)
    expect(scene().page(repairMs())).toBe(`hello from ${name}`)
    await killed.kill()
    expect(await scene().everything()).not.toEqual(before)
    const next = await scene().start(['127.0.0.1:7777', '127.0.0.1:7', '--name', 'other'])
    expect(await scene().everything()).toEqual(before)
    await next.interrupt()
    expect(await scene().everything()).toEqual(before)
  })
}

function forgottenForward(scene: () => Scene, way: Way): void {
  it('is served again within 5 s when QEMU forgets its forward', async () => {
    const guest = scene().guest(way)
    const ours = (await guest.forwards()).find((forward) => forward.includes(' 80 ')) as string
    const said = await guest.monitor(`hostfwd_remove n0 tcp:127.0.0.1:${ours.split(' ')[2]}`)
    expect(said).toContain('removed')
    await scene().servedAgain(way)
    expect(await guest.forwards()).toContain(ours)
  })
}

/** The network, the firewall, both guests, and every Naru that was started in it. */
class Scene implements AsyncDisposable {
  readonly guard: Guard
  readonly home: Home
  readonly firewall: LabFirewall
  readonly #folder: string
  readonly #guests = new Map<Way, LabGuest>()
  readonly #started: NaruProcess[] = []
  #scope: Scope

  private constructor(guard: Guard, home: Home, firewall: LabFirewall, folder: string, scope: Scope) {
    this.guard = guard
    this.home = home
    this.firewall = firewall
    this.#folder = folder
    this.#scope = scope
  }

  static async lay(guard: Guard): Promise<Scene> {
    await built()
    await using scope = new Scope()
    const folder = mkdtempSync(join(tmpdir(), 'naru-flagship-'))
    scope.defer(() => rmSync(folder, { recursive: true, force: true }))
    const home = scope.use(await homeNetwork(scope.use(new Lab())))
    const firewall = scope.use(await guard.start(home))
    const scene = new Scene(guard, home, firewall, folder, scope)
    await Promise.all(ways.map((way) => scene.#boot(way)))
    scene.#scope = scope.move()
    return scene
  }

  guest(way: Way): LabGuest {
    return this.#guests.get(way) as LabGuest
  }

  /** Goes on as it was when its page came up: a boot takes longer than the repair that is looked at. */
  async startAgain(way: Way): Promise<void> {
    this.#guests.set(way, await startGuest(this.home.host, { ...guests[way], from: this.#saved(way) }))
  }

  publish(way: Way): Promise<NaruProcess> {
    return this.start([port, `qemu:${guests[way].name}:80`, '--publish', '--name', 'web'])
  }

  /** Resolves when all is open. */
  async start(args: readonly string[]): Promise<NaruProcess> {
    const naru = new NaruProcess({ through: this.firewall.through, state: this.#folder }, ['open', ...args])
    this.#started.push(naru)
    await naru.opened()
    return naru
  }

  /** The page as the internet sees it, asked for once. */
  page(limitMs = 2000): string {
    const url = `http://${homeAddresses.wan}:${port}/`
    try {
      return this.home.internet.run(['curl', '-s', '--max-time', String(limitMs / 1000), url]).trim()
    } catch {
      return 'nothing'
    }
  }

  /** Asks for the page again and again. @throws where it is not there within 5 s */
  async servedAgain(way: Way): Promise<void> {
    const [began, limit] = [performance.now(), repairMs()]
    while (this.page() !== `hello from ${guests[way].name}`) {
      if (performance.now() - began > limit) throw new Error(`not served within ${Math.round(limit)} ms`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** Everything that any hop keeps. */
  async everything(): Promise<unknown> {
    return {
      ...(!this.guard.rewrites && {
        host: withoutCounters(this.firewall.run(['nft', '-j', 'list', 'ruleset'])),
      }),
      firewall: this.firewall.snapshot(),
      router: withoutCounters(this.home.router.host.run(['nft', '-j', 'list', 'ruleset'])),
      mappings: this.home.router.mappings(),
      forwards: await Promise.all([...this.#guests.values()].map((guest) => guest.forwards())),
    }
  }

  async endEveryNaru(): Promise<void> {
    for (const naru of this.#started.splice(0)) await naru.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endEveryNaru()
    await this.#scope[Symbol.asyncDispose]()
  }

  async #boot(way: Way): Promise<void> {
    const guest = await startGuest(this.home.host, guests[way])
    await guest.save(this.#saved(way))
    this.#guests.set(way, guest)
  }

  #saved(way: Way): string {
    return join(this.#folder, `${way}.saved`)
  }
}

/** 5 s, on a machine whose cores are not shared with more than they can do. */
function repairMs(): number {
  return 5000 * Math.max(1, (loadavg()[0] as number) / availableParallelism())
}

/** Packets counted are no rule. */
function withoutCounters(ruleset: string): string {
  return ruleset.replace(/"(packets|bytes)": ?\d+/g, '"$1": 0')
}
