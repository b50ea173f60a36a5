/** A router that does not answer at the end: what stays open is named, kept, and undone by the next start. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { membersAt, toolsAtHome } from '../../test/fakes/at-home.ts'
import { fakeParts, World } from '../../test/fakes/parts.ts'
import { FakeRouter } from '../../test/fakes/router.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { Forwarder } from '../rules/forwarder.ts'
import { claim } from '../instance/instance.ts'

const web = { listen: 8888, target: '10.0.0.1:80', publish: { router: 'upnp' } } as const

for (const keepsDeleted of [false, true])
  it(
    `a router that ${keepsDeleted ? 'says it closed and did not' : 'is silent at the end'} is named, and asked again by the next start`,
    { timeout: 30_000 },
    async () => {
      await using fake = await FakeRouter.start()
      const folder = mkdtempSync(join(tmpdir(), 'naru-stop-'))
      const started = async (rules: Record<string, typeof web>): Promise<Forwarder> => {
        const { host } = toolsAtHome()
        const overrides = { host, routers: [membersAt.upnp(fake)] }
        const parts = fakeParts(new World(), createMemoryStore(rules), overrides)
        const instance = await claim(folder, 'stop', 'a file')
        const { forwarder } = await Forwarder.start(parts, instance, { signal: AbortSignal.timeout(20_000) })
        return forwarder
      }
      const first = await started({ web })
      expect(fake.table.size).toBe(1)
      Object.assign(fake.quirks, keepsDeleted ? { keepsDeleted } : { silent: true })
      await expect(first.stop()).rejects.toMatchObject({ code: 'NOT_UNDONE', exitCode: 1 })
      expect(fake.table.size).toBe(1)
      Object.assign(fake.quirks, { keepsDeleted: false, silent: false })
      const second = await started({})
      await expect.poll(() => fake.table.size, { timeout: 10_000 }).toBe(0)
      await second.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  )
