/** What this machine is to the network is read anew when it has changed, and no program is started where it has not. */
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { end, Lab } from './namespaces.ts'

interface Look {
  readonly addresses: readonly string[]
  readonly up: readonly string[]
  readonly routes: readonly { readonly gateway: string | null }[]
  readonly started: number
}

describeWith({ root: true, platform: 'linux', commands: ['ip'] }, 'this network', () => {
  beforeAll(built, 120_000)

  it('is read anew at once when it changes, and not before', { timeout: 60_000 }, async () => {
    await using lab = new Lab()
    const [host, other] = [lab.host('host'), lab.host('other')]
    lab.cable({ host, interface: 'lan', addresses: ['192.0.2.1/24'] }, { host: other, interface: 'lan' })
    const program = fileURLToPath(new URL('network-reader.mjs', import.meta.url))
    const reader = host.start([process.execPath, program], { stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      const lines: Interface = createInterface({ input: reader.stdout as NodeJS.ReadableStream })
      const told = lines[Symbol.asyncIterator]()
      const look = async (...change: string[]): Promise<Look> => {
        if (change.length > 0) host.run(change)
        if (change.length > 0 || seen !== null) reader.stdin?.write('\n')
        seen = JSON.parse((await told.next()).value as string) as Look
        return seen
      }
      let seen: Look | null = null
      const quiet = (): Promise<void> =>
        expect.poll(async () => (await look()).started, { timeout: 20_000 }).toBe(0)
      expect(await look()).toMatchObject({ routes: [], addresses: expect.arrayContaining(['192.0.2.1']) })
      // The kernel still has things to tell of a link that has just come up.
      await quiet()
      const withAddress = await look('ip', 'address', 'add', '192.0.2.9/24', 'dev', 'lan')
      expect(withAddress.addresses).toContain('192.0.2.9')
      const withRoute = await look('ip', 'route', 'add', 'default', 'via', '192.0.2.7')
      expect(withRoute.routes).toMatchObject([{ gateway: '192.0.2.7' }])
      expect((await look('ip', 'link', 'set', 'lan', 'down')).up).not.toContain('lan')
      await quiet()
    } finally {
      await end(reader)
    }
  })
})
