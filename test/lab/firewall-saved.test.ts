/**
 * netfilter-persistent and its like save a ruleset with our openings in it, and restore it when nobody knows them any
 * more. Told by packets: what comes back is closed by the next start, and what anybody else opened stays.
 */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { removeReturned, unclaimed } from '../../src/doctor/returned-openings.ts'
import { Journal } from '../../src/instance/journal.ts'
import { markOf } from '../../src/instance/state-mark.ts'
import type { FirewallMember } from '../../src/firewalls/contract.ts'
import { firewalld } from '../../src/firewalls/linux/firewalld.ts'
import { iptables } from '../../src/firewalls/linux/iptables.ts'
import { nftables } from '../../src/firewalls/linux/nftables.ts'
import { ufw } from '../../src/firewalls/linux/ufw.ts'
import type { Lease } from '../../src/model/hop.ts'
import { parseTag } from '../../src/model/tag.ts'
import { fakeParts, World } from '../fakes/parts.ts'
import { request, Scene, signal } from '../conformance/firewall/suite.ts'
import { Scope } from '../../src/base/scope.ts'
import { built } from '../built.ts'
import { NaruProcess } from '../journeys/naru-process.ts'
import { startWebServer } from './router.ts'
import { describeWith } from '../needs.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import {
  firewalldFirewall,
  iptablesFirewall,
  iptablesTools,
  nftFirewall,
  ufwFirewall,
  type LabFirewall,
} from './firewalls.ts'

interface Stand {
  readonly name: string
  readonly commands: readonly string[]
  readonly member: FirewallMember
  readonly start: (scene: Scene) => LabFirewall | Promise<LabFirewall>
  readonly save: (firewall: LabFirewall) => () => void
}

const xtStand = (kind: 'iptables-nft' | 'iptables-legacy'): Stand => ({
  name: kind,
  commands: [kind],
  member: iptables,
  start: ({ inside }) => iptablesFirewall(inside, kind),
  save(firewall) {
    const saved = iptablesTools(kind).map((tool) => [tool, firewall.run([`${tool}-save`])] as const)
    return () => {
      for (const [tool, text] of saved) firewall.run([`${tool}-restore`], text)
    }
  },
})

const saveNft = (firewall: LabFirewall): (() => void) => {
  const saved = firewall.run(['nft', 'list', 'ruleset'])
  return () => void firewall.run(['nft', '-f', '-'], `flush ruleset\n${saved}`)
}

const stands: readonly Stand[] = [
  {
    name: 'nftables',
    commands: ['nft'],
    member: nftables,
    start: ({ inside }) => nftFirewall(inside),
    save: saveNft,
  },
  xtStand('iptables-nft'),
  xtStand('iptables-legacy'),
  {
    name: 'ufw',
    commands: ['ufw', 'nsenter'],
    member: ufw,
    start: ({ inside }) => ufwFirewall(inside),
    save(firewall) {
      const files = ['/etc/ufw/user.rules', '/etc/ufw/user6.rules']
      const saved = files.map((file) => [file, firewall.run(['cat', file])] as const)
      return () => {
        for (const [file, text] of saved) firewall.run(['sh', '-c', `cat > ${file}`], text)
        firewall.run(['ufw', 'reload'])
      }
    },
  },
]

for (const { name, commands, member, start, save } of stands) {
  describeWith(
    { root: true, platform: 'linux', commands: ['ip', ...commands] },
    `${name}, saved and restored`,
    () => {
      let scene: Scene
      let firewall: LabFirewall
      let root: string
      const told: string[] = []

      beforeAll(async () => {
        scene = new Scene()
        firewall = await start(scene)
      }, 60_000)
      afterAll(async () => {
        await firewall?.[Symbol.asyncDispose]()
        await scene?.[Symbol.asyncDispose]()
      })
      beforeEach(() => {
        root = mkdtempSync(join(tmpdir(), 'naru-saved-'))
        told.length = 0
      })
      afterEach(() => rmSync(root, { recursive: true, force: true }))

      const parts = () =>
        fakeParts(new World(), createMemoryStore(), {
          host: firewall.host,
          firewalls: [firewalld, ufw, nftables, iptables],
        })

      /** A Naru of a state folder that opens this port. */
      async function open(port: number, folder = root): Promise<{ lease: Lease; journal: Journal }> {
        const journal = await Journal.open(join(folder, `open-${port}`, 'journal'))
        const recorder = journal.recorder({ rule: 'web', hop: 'firewall', member: member.id })
        const record = { ...recorder, mark: () => markOf(folder) }
        const wanted = request(port, { protocols: ['tcp', 'udp'] })
        return {
          lease: await member.open(wanted, { host: firewall.host, signal: signal(), record }),
          journal,
        }
      }
      /** An opening that was saved while it was open, and is closed: the saved ruleset brings it back. */
      async function cameBack(port: number): Promise<void> {
        const { lease, journal } = await open(port)
        const restore = save(firewall)
        await lease.release({ signal: signal() })
        await journal.close()
        restore()
      }
      const startAgain = (folder = root): Promise<void> =>
        removeReturned(folder, parts(), { signal: signal(), tell: (_, { en }) => void told.push(en) })
      const reach = (port: number): Promise<string> => scene.reach('tcp', port)

      it('an opening that came back is closed by the next start, and said', async () => {
        const before = firewall.snapshot()
        await cameBack(8888)
        expect(await reach(8888)).toBe('in')
        await startAgain()
        expect(await reach(8888)).not.toBe('in')
        expect(firewall.snapshot()).toBe(before)
        expect(told[0]).toMatch(/^closed what a saved ruleset had brought back: .*8888/)
        await startAgain()
        expect(firewall.snapshot()).toBe(before)
      }, 90_000)

      it('what another Naru opened stays, whether it runs or not; so does what a journal of ours has', async () => {
        const other = mkdtempSync(join(tmpdir(), 'naru-saved-'))
        try {
          const theirs = await open(8801, other)
          const ours = await open(8802)
          const restore = save(firewall)
          restore()
          await startAgain()
          expect(told).toEqual([])
          expect([await reach(8801), await reach(8802)]).toEqual(['in', 'in'])
          const left = await unclaimed(root, parts(), signal())
          expect(new Set(left.map(({ tag }) => parseTag(tag)?.mark))).toEqual(new Set([await markOf(other)]))
          for (const { lease, journal } of [theirs, ours]) {
            await lease.release({ signal: signal() })
            await journal.close()
          }
          expect([await reach(8801), await reach(8802)]).not.toContain('in')
        } finally {
          rmSync(other, { recursive: true, force: true })
        }
      }, 90_000)

      it('where a journal cannot be read, nothing is taken away', async () => {
        await cameBack(8888)
        mkdirSync(join(root, 'up'))
        writeFileSync(join(root, 'up', 'journal'), 'no line of ours\n')
        await startAgain()
        expect(await reach(8888)).toBe('in')
        expect(told[0]).toContain('a journal cannot be read whole')
        rmSync(join(root, 'up'), { recursive: true })
        await startAgain()
        expect(await reach(8888)).not.toBe('in')
      }, 90_000)

      it('what a person would type takes it away', async () => {
        const before = firewall.snapshot()
        await cameBack(8888)
        for (;;) {
          const [one] = await unclaimed(root, parts(), signal())
          if (!one) break
          firewall.run(['sh', '-c', one.command.replaceAll('sudo ', '')])
        }
        expect(await reach(8888)).not.toBe('in')
        expect(firewall.snapshot()).toBe(before)
      }, 90_000)
    },
  )
}

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'iptables-nft', 'iptables-legacy'] },
  'a list restored without a flush',
  () => {
    it.each(['iptables-nft', 'iptables-legacy'] as const)(
      '%s: a release takes every copy',
      async (kind) => {
        await using scene = new Scene()
        await using firewall = iptablesFirewall(scene.inside, kind)
        const before = firewall.snapshot()
        const { MemoryRecorder } = await import('../fakes/recorder.ts')
        const lease = await iptables.open(request(8888), {
          host: firewall.host,
          signal: signal(),
          record: new MemoryRecorder(),
        })
        for (const tool of iptablesTools(kind)) {
          const line = firewall
            .run([`${tool}-save`])
            .split('\n')
            .find((one) => one.includes('naru:')) as string
          for (let copy = 0; copy < 2; copy++)
            firewall.run(
              [`${tool}-restore`, '--noflush'],
              `*filter\n${line.replace('-A INPUT', '-I INPUT 1')}\nCOMMIT\n`,
            )
        }
        await lease.release({ signal: signal() })
        expect(await scene.reach('tcp', 8888)).not.toBe('in')
        expect(firewall.snapshot()).toBe(before)
      },
      60_000,
    )
  },
)

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'firewall-cmd', 'dbus-daemon', 'nsenter'] },
  'firewalld, made permanent',
  () => {
    it('is named with the command that takes it away, and left to its administrator', async () => {
      await using scene = new Scene()
      await using firewall = await firewalldFirewall(scene.inside)
      const root = mkdtempSync(join(tmpdir(), 'naru-saved-'))
      try {
        const { MemoryRecorder } = await import('../fakes/recorder.ts')
        const options = { host: firewall.host, signal: AbortSignal.timeout(60_000) }
        const lease = await firewalld.open(request(8888), { ...options, record: new MemoryRecorder() })
        firewall.run(['firewall-cmd', '--runtime-to-permanent'])
        await lease.release(options)
        await markOf(root)
        const parts = fakeParts(new World(), createMemoryStore(), {
          host: firewall.host,
          firewalls: [firewalld],
        })
        firewall.run(['firewall-cmd', '--reload'])
        expect(await scene.reach('tcp', 8888)).toBe('in')
        await removeReturned(root, parts, { signal: options.signal, tell: () => {} })
        const found = await unclaimed(root, parts, options.signal)
        expect(found).toHaveLength(1)
        expect(found[0]?.text).toContain('port port="8888"')
        firewall.run(['sh', '-c', (found[0]?.command ?? '').replaceAll('sudo ', '')])
        expect(await scene.reach('tcp', 8888)).not.toBe('in')
        expect(await unclaimed(root, parts, options.signal)).toEqual([])
      } finally {
        rmSync(root, { recursive: true, force: true })
      }
    }, 120_000)
  },
)

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'nft'] },
  'naru open on a machine that saves its rules',
  () => {
    it('after a reboot the next start closes what came back, and says so', async () => {
      await built()
      await using scope = new Scope()
      const scene = scope.use(new Scene())
      await startWebServer(scene.inside, 80)
      const firewall = nftFirewall(scene.inside)
      const before = firewall.snapshot()
      const state = mkdtempSync(join(tmpdir(), 'naru-saved-'))
      scope.defer(() => rmSync(state, { recursive: true, force: true }))
      const start = async (port: number): Promise<NaruProcess> => {
        const line = ['open', String(port), '127.0.0.1:80', '--firewall', '--engine', 'sockets']
        const naru = new NaruProcess({ through: firewall.through, state }, line)
        scope.defer(() => naru.end())
        await naru.opened()
        return naru
      }
      const opened = (): string[] =>
        /dport \d+(?= accept comment "naru:)/g[Symbol.match](firewall.run(['nft', 'list', 'ruleset'])) ?? []

      // One that stopped in order, and one that the power took.
      const stopped = await start(8801)
      const killed = await start(8802)
      const restore = saveNft(firewall)
      expect(await stopped.interrupt()).toBe(0)
      await killed.kill()
      restore()
      expect(opened()).toEqual(['dport 8801', 'dport 8802'])

      const next = await start(8803)
      expect(opened()).toEqual(['dport 8803'])
      expect(next.complaints).toContain('undone, left over from before: open-8802: firewall (nftables)')
      expect(next.complaints).toMatch(/closed what a saved ruleset had brought back: .*8801/)
      // A saved list that comes back while it runs is its own.
      const again = saveNft(firewall)
      again()
      const beside = await start(8804)
      expect(opened()).toEqual(['dport 8803', 'dport 8804'])
      for (const naru of [next, beside]) expect(await naru.interrupt()).toBe(0)
      expect(firewall.snapshot()).toBe(before)
    }, 120_000)
  },
)
