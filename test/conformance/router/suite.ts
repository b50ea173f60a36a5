/** What every router protocol promises, whoever speaks it: held against each member on the same fake router. */
import { describe, expect, it } from 'vitest'
import type { Json } from '../../../src/model/hop.ts'
import type { Router, RouterMember } from '../../../src/routers/contract.ts'
import { asking, found, here, toolsAtHome } from '../../fakes/at-home.ts'
import { memoryJournal } from '../../fakes/journal.ts'
import { FakeRouter } from '../../fakes/router.ts'

const signal = (): AbortSignal => AbortSignal.timeout(10_000)
const unreadable: readonly Json[] = [null, 1, 'x', {}, { kind: 'mapping' }]

export function routerConformance(id: string, make: (router: FakeRouter) => RouterMember): void {
  describe(`${id} keeps the contract of a router`, () => {
    it('finds the router at the gateway, at once', async () => {
      await using fake = await FakeRouter.start()
      const started = performance.now()
      const router = await found(make(fake))
      expect(performance.now() - started).toBeLessThan(1500)
      expect(router).toMatchObject({ member: id, family: 4, address: here, clientAddress: here })
    })

    it('finds the router at an address it is told, as who we are to it', async () => {
      await using fake = await FakeRouter.start()
      const at = { address: here, clientAddress: '192.168.1.2' }
      const [router] = await make(fake).discover({ signal: signal(), tools: toolsAtHome(), at })
      expect(router).toMatchObject({ address: here, clientAddress: '192.168.1.2' })
    })

    it('gives up within 6 s where nobody answers, with an empty list', async () => {
      const fake = await FakeRouter.start()
      const member = make(fake)
      await fake[Symbol.asyncDispose]()
      const started = performance.now()
      expect(await member.discover({ signal: signal(), tools: toolsAtHome() })).toEqual([])
      expect(performance.now() - started).toBeLessThan(6000)
    })

    it('opens, reads back, renews and releases; twice is harmless and the journal ends empty', async () => {
      await using fake = await FakeRouter.start()
      const journal = memoryJournal()
      const lease = await (await found(make(fake))).open(asking, { signal: signal(), record: journal })
      expect([...fake.table.values()]).toMatchObject([
        { externalPort: 8888, internalPort: 80, internalAddress: here },
      ])
      expect(lease).toMatchObject({ externalPort: 8888, externalAddress: '203.0.114.7' })
      expect(lease.goodUntil).toBeGreaterThan(Date.now() + 3_500_000)
      expect(lease.renewAfter).toBeLessThan(lease.goodUntil ?? 0)
      expect(lease.describe().differs).toEqual([])
      expect((await lease.verify({ signal: signal() })).state).toBe('held')
      await lease.renew({ signal: signal() })
      expect(journal.left()).toHaveLength(1)
      await lease.release({ signal: signal() })
      await lease.release({ signal: signal() })
      expect([fake.table.size, journal.left()]).toEqual([0, []])
    })

    it('asks from the very address of ours that is to be reached, and undoes from it', async () => {
      await using fake = await FakeRouter.start({ strict: true })
      const journal = memoryJournal()
      const wish = { ...asking, internalAddress: '127.0.0.2' }
      const router = await found(make(fake))
      const lease = await router.open(wish, { signal: signal(), record: journal })
      expect([...fake.table.values()]).toMatchObject([{ externalPort: 8888, internalAddress: '127.0.0.2' }])
      await lease.renew({ signal: signal() })
      expect((await lease.verify({ signal: signal() })).state).toBe('held')
      await make(fake).undo(journal.left()[0] ?? null, { signal: signal(), tools: toolsAtHome() })
      expect(fake.table.size).toBe(0)
      await lease.release({ signal: signal() })
    })

    it('takes 0.0.0.0 outside for no address', async () => {
      await using fake = await FakeRouter.start()
      fake.externalAddress = '0.0.0.0'
      const router = await found(make(fake))
      const lease = await router.open(asking, { signal: signal(), record: memoryJournal() })
      expect(lease.externalAddress).toBe(null)
      expect(await router.info({ signal: signal() })).toMatchObject({
        externalAddress: null,
        above: 'unknown',
      })
    })

    it('writes down what it is about to do before it asks', async () => {
      await using fake = await FakeRouter.start()
      const router = await found(make(fake))
      const failing = { intend: () => Promise.reject(new Error('disk full')) }
      await expect(router.open(asking, { signal: signal(), record: failing })).rejects.toThrow('disk full')
      expect(fake.table.size).toBe(0)
    })

    it('goes on with the mapping of a predecessor: the same one, held on', async () => {
      await using fake = await FakeRouter.start()
      const journal = memoryJournal()
      const first = await (await found(make(fake))).open(asking, { signal: signal(), record: journal })
      const record = { ...memoryJournal(), before: journal.left() }
      const lease = await (await found(make(fake))).open(asking, { signal: signal(), record })
      expect(lease.externalPort).toBe(first.externalPort)
      expect(fake.table.size).toBe(1)
      const lasting = (effects: readonly Json[]): unknown[] =>
        effects.map((effect) => ({ ...(effect as object), until: null }))
      expect(lasting(record.left())).toEqual(lasting(journal.left()))
      await lease.release({ signal: signal() })
      expect(fake.table.size).toBe(0)
    })

    it('undoes from the journal alone, and once more without harm', async () => {
      await using fake = await FakeRouter.start()
      const journal = memoryJournal()
      await (await found(make(fake))).open(asking, { signal: signal(), record: journal })
      const [left] = journal.left()
      await make(fake).undo(left ?? null, { signal: signal(), tools: toolsAtHome() })
      expect(fake.table.size).toBe(0)
      await make(fake).undo(left ?? null, { signal: signal(), tools: toolsAtHome() })
    })

    it('sees that the router restarted, and puts the mapping back by renewing', async () => {
      await using fake = await FakeRouter.start()
      fake.epochStart -= 100_000
      const router = await found(make(fake))
      const lease = await router.open(asking, { signal: signal(), record: memoryJournal() })
      await fake.restart()
      expect(await lease.verify({ signal: signal() })).toMatchObject({ state: 'lost' })
      await lease.renew({ signal: signal() })
      expect(fake.table.size).toBe(1)
      expect((await lease.verify({ signal: signal() })).state).toBe('held')
    })

    it('tells who watches that the router restarted, and ends with the signal', async () => {
      await using fake = await FakeRouter.start()
      fake.epochStart -= 100_000
      const router = await found(make(fake))
      const life = new AbortController()
      const before = fake.count('ssdp') + fake.count('pcp') + fake.count('nat-pmp')
      const told = new Promise((resolve) => router.watch({ signal: life.signal, onRestart: resolve }))
      await expect
        .poll(() => fake.count('ssdp') + fake.count('pcp') + fake.count('nat-pmp'))
        .toBeGreaterThan(before)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await fake.restart()
      expect(await told).toMatchObject({ en: expect.any(String) as string, ko: expect.any(String) as string })
      life.abort()
    })

    it('stops at once where the signal fires, and says so', async () => {
      const fake = await FakeRouter.start()
      const router: Router = await found(make(fake))
      await fake[Symbol.asyncDispose]()
      const stop = AbortSignal.timeout(100)
      const started = performance.now()
      await expect(router.open(asking, { signal: stop, record: memoryJournal() })).rejects.toMatchObject({
        name: 'NaruError',
      })
      expect(performance.now() - started).toBeLessThan(1500)
    })

    it('refuses a journal entry it cannot read', async () => {
      await using fake = await FakeRouter.start()
      for (const broken of unreadable)
        await expect(
          make(fake).undo(broken, { signal: signal(), tools: toolsAtHome() }),
        ).rejects.toMatchObject({
          code: 'INTERNAL',
        })
    })
  })
}
