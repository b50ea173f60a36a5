/**
 * The story Naru exists for, on a whole home network: internet — router — host with a firewall that drops — a guest
 * with a web server. One command opens it all, every hop is broken in turn, and afterwards nothing is left.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { firewalldFirewall, nftFirewall, ufwFirewall, type LabFirewall } from '../lab/firewalls.ts'
import { Lab } from '../lab/namespaces.ts'
import { guestNeeds, startGuest, type LabGuest } from '../lab/qemu.ts'
import { homeAddresses, homeNetwork, type Home } from '../lab/router.ts'
import { describeWith } from '../needs.ts'
import { NaruProcess } from './naru-process.ts'

const port = '8888'
const commands = [...(guestNeeds.commands ?? []), 'nft', 'miniupnpd', 'upnpc', 'curl']

/** How the guest is reached: on a bridge at its own address, or on QEMU's own NAT by QEMU's forward. */
const ways = [
  { way: 'direct', guest: 'lan' },
  { way: 'nat', guest: 'web' },
] as const

const firewalls = [
  {
    name: 'nftables',
    needs: ['nft'],
    make: (home: Home) => Promise.resolve(nftFirewall(home.host)),
    close: (firewall: LabFirewall): void => {
      const listed = firewall.run(['nft', '-a', 'list', 'chain', 'inet', 'filter', 'input'])
      const handle = /dport 8888 .*# handle (\d+)/.exec(listed)?.[1]
      firewall.run(['nft', 'delete', 'rule', 'inet', 'filter', 'input', 'handle', String(handle)])
    },
  },
  {
    name: 'ufw',
    needs: ['ufw'],
    make: (home: Home) => ufwFirewall(home.host),
    close: (firewall: LabFirewall) =>
      void firewall.run(['ufw', '--force', 'delete', 'allow', 'proto', 'tcp', 'to', 'any', 'port', port]),
  },
  {
    name: 'firewalld',
    needs: ['firewall-cmd', 'firewalld'],
    make: (home: Home) => firewalldFirewall(home.host),
    close: (firewall: LabFirewall): void => {
      const rules = firewall.run(['firewall-cmd', '--list-rich-rules']).split('\n')
      const ours = rules.filter((line) => line.includes(port))
      if (ours.length === 0) throw new Error('firewalld has no such rule')
      for (const rule of ours) firewall.run(['firewall-cmd', `--remove-rich-rule=${rule}`])
    },
  },
] as const

const everyCommand = [...commands, ...firewalls.flatMap(({ needs }) => needs)]

describeWith({ ...guestNeeds, commands: everyCommand }, 'a guest’s web server, behind a router', () => {
  let lab: Lab
  let home: Home
  const guests = new Map<string, LabGuest>()
  const state = mkdtempSync(join(tmpdir(), 'naru-flagship-'))
  const running: NaruProcess[] = []

  const network = { bridge: 'br0', hostAddress: '192.168.122.1/24', guestAddress: '192.168.122.15/24' }
  const startLan = () => startGuest(home.host, { name: 'lan', network })
  const startWeb = () => startGuest(home.host, { name: 'web', forwards: ['tcp:127.0.0.1:2222-:22'] })

  beforeAll(async () => {
    lab = new Lab()
    home = await homeNetwork(lab)
    const [lan, web] = await Promise.all([startLan(), startWeb()])
    guests.set('lan', lan).set('web', web)
  }, 60_000)

  afterEach(async () => {
    for (const naru of running.splice(0)) await naru.end()
  })

  afterAll(async () => {
    await home?.[Symbol.asyncDispose]()
    await lab?.[Symbol.asyncDispose]()
    rmSync(state, { recursive: true, force: true })
  })

  /** The page as the internet sees it. */
  function page(): string {
    const url = `http://${homeAddresses.wan}:${port}/`
    try {
      return home.internet.run(['curl', '-s', '--max-time', '2', url]).trim()
    } catch {
      return 'nothing'
    }
  }

  /** Asks for the page again and again, until it is there. @throws where it is not within 5 s */
  async function untilServed(guest: string): Promise<void> {
    await within(repairMs(), 'served again', () => page() === `hello from ${guest}`)
  }

  describe.each(firewalls)('and $name on its host', ({ name, make, close }) => {
    let firewall: LabFirewall
    beforeAll(async () => void (firewall = await make(home)), 30_000)
    afterAll(async () => {
      await firewall?.[Symbol.asyncDispose]()
      home.host.run(['nft', 'flush', 'ruleset'])
    })

    async function start(args: readonly string[]): Promise<NaruProcess> {
      const naru = new NaruProcess({ through: firewall.through, state }, ['open', ...args])
      running.push(naru)
      await naru.opened()
      return naru
    }
    const publish = (guest: string): Promise<NaruProcess> =>
      start([port, `qemu:${guest}:80`, '--publish', '--name', 'web'])

    /** Everything that any hop keeps. */
    async function everything(): Promise<unknown> {
      return {
        // ufw and firewalld write their own rules anew, under new handles.
        ...(name === 'nftables' && { host: withoutCounters(firewall.run(['nft', '-j', 'list', 'ruleset'])) }),
        firewall: firewall.snapshot(),
        router: withoutCounters(home.router.host.run(['nft', '-j', 'list', 'ruleset'])),
        mappings: home.router.mappings(),
        forwards: await Promise.all([...guests.values()].map((guest) => guest.forwards())),
      }
    }

    it.each(ways)(
      'is served to the internet ($way), and Ctrl-C leaves no trace',
      async ({ guest }) => {
        const before = await everything()
        expect(page()).toBe('nothing')
        const naru = await publish(guest)
        expect(page()).toBe(`hello from ${guest}`)
        expect(naru.hop('guest')?.member).toBe(guest === 'web' ? 'qemu' : undefined)

        const began = performance.now()
        expect(await naru.interrupt()).toBe(0)
        expect(performance.now() - began).toBeLessThan(5000)
        expect(await everything()).toEqual(before)
        expect(page()).toBe('nothing')
      },
      60_000,
    )

    it('is served again within 5 s when somebody deletes the firewall’s rule', async () => {
      const before = await everything()
      const naru = await publish('lan')
      close(firewall)
      await untilServed('lan')
      await naru.interrupt()
      expect(await everything()).toEqual(before)
    }, 60_000)

    it('leaves no trace after kill -9 and the next start', async () => {
      const before = await everything()
      const naru = await publish('web')
      expect(page()).toBe('hello from web')
      await naru.kill()
      expect(await everything()).not.toEqual(before)
      const next = await start(['127.0.0.1:7777', '127.0.0.1:7', '--name', 'other'])
      expect(await everything()).toEqual(before)
      await next.interrupt()
    }, 60_000)

    if (name !== 'nftables') return

    it('is served again within 5 s when somebody deletes the mapping', async () => {
      const before = await everything()
      const naru = await publish('lan')
      const description = `http://${homeAddresses.router}:5000/rootDesc.xml`
      home.host.run(['upnpc', '-u', description, '-d', port, 'TCP'])
      await untilServed('lan')
      expect(home.router.mappings()).toHaveLength(1)
      await naru.interrupt()
      expect(await everything()).toEqual(before)
    }, 60_000)

    it('is served again within 5 s when QEMU forgets its forward', async () => {
      const web = guests.get('web') as LabGuest
      const before = await everything()
      const naru = await publish('web')
      const ours = (await web.forwards()).find((forward) => forward.includes(' 80 ')) as string
      await web.monitor(`hostfwd_remove n0 tcp:127.0.0.1:${ours.split(' ')[2]}`)
      await untilServed('web')
      expect(await web.forwards()).toContain(ours)
      await naru.interrupt()
      expect(await everything()).toEqual(before)
    }, 60_000)

    it.each(ways)(
      'names the guest within 5 s when it stops ($way), and serves it when it is back',
      async ({ guest }) => {
        const inner = guest === 'web' ? 'guest' : 'service'
        const naru = await publish(guest)
        await guests.get(guest)?.stop()
        await naru.until(`${inner} broken`, () => naru.hop(inner)?.state === 'broken', repairMs())
        expect(naru.hop(inner)?.text.en).toContain(guest)
        guests.set(guest, await (guest === 'web' ? startWeb() : startLan()))
        await untilServed(guest)
        await naru.interrupt()
      },
      60_000,
    )
  })
})

/** 5 s, on a machine whose cores are not shared with more than they can do. */
function repairMs(): number {
  return 5000 * Math.max(1, (loadavg()[0] as number) / availableParallelism())
}

async function within(ms: number, what: string, isSo: () => boolean): Promise<void> {
  const began = performance.now()
  while (!isSo()) {
    if (performance.now() - began > ms) throw new Error(`not ${what} within ${Math.round(ms)} ms`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Packets counted are no rule. */
function withoutCounters(ruleset: string): string {
  return ruleset.replace(/"(packets|bytes)": ?\d+/g, '"$1": 0')
}
