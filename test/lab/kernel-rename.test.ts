import { once } from 'node:events'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { Daemon } from '../web/daemon.ts'
import { echoes, hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const

describeWith(needs, 'a rule that the kernel carries', () => {
  beforeAll(built, 120_000)

  it(
    'is renamed without a cut, and is the same rule to the next edit and the next start',
    { timeout: 60_000 },
    async () => {
      await using lab = new KernelLab()
      lab.serve(lab.target, 80)
      lab.serve(lab.target, 81, 'edited')
      const rule = `{ listen: "${hostAddress}:8888", target: "${targetAddress}:80", engine: kernel }`
      await using daemon = await Daemon.start({
        file: `rules:\n  old: ${rule}\n`,
        through: ['ip', 'netns', 'exec', lab.host.namespace],
      })
      const naru = await daemon.client()
      const before = await lab.dial(lab.client, hostAddress, 8888)
      expect(await echoes(before, 'as old')).toBe('as old')
      await naru.rules.rename('old', 'new')
      expect(await echoes(before, 'as new')).toBe('as new')
      const after = await lab.dial(lab.client, hostAddress, 8888)
      expect(await echoes(after, 'and another')).toBe('and another')
      const told = async (): Promise<string[]> =>
        (await naru.connections()).map((one) => `${one.rule} ${one.state}`)
      await expect.poll(told, { timeout: 15_000 }).toEqual(['new open', 'new open'])

      await naru.rules.edit('new', { target: `${targetAddress}:81` })
      const edited = await lab.dial(lab.client, hostAddress, 8888)
      expect(String((await once(edited, 'data'))[0])).toBe('edited')
      await daemon.kill()
      await daemon.start()
      const next = await daemon.client()
      expect((await next.rules.list()).map(({ name, state }) => `${name} ${state}`)).toEqual(['new open'])
      for (const socket of [before, after, edited]) expect(await echoes(socket, 'goes on')).toBe('goes on')
      expect(lab.host.run(['nft', 'list', 'table', 'inet', 'naru'])).not.toContain(':old"')
    },
  )
})
