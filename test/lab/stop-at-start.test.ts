/** A daemon that is told to end while it still opens its rules ends as one that had opened them: nothing stays. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { KernelLab, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const
const main = join(import.meta.dirname, '../../dist/main.js')

describeWith(needs, 'a stop while rules open', () => {
  let lab: KernelLab
  let folder: string

  beforeAll(built, 120_000)
  beforeEach(async () => {
    lab = new KernelLab()
    folder = await mkdtemp(join(tmpdir(), 'naru-stop-at-start-'))
    const rules = Object.fromEntries(
      Array.from({ length: 40 }, (_, at) => [
        `r${at}`,
        { listen: `0.0.0.0:${8800 + at}`, target: `${targetAddress}:80`, engine: 'kernel' },
      ]),
    )
    await writeFile(join(folder, 'naru.yaml'), JSON.stringify({ rules }))
  })
  afterEach(async () => {
    await lab[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const ruleset = (): string => lab.host.run(['nft', 'list', 'ruleset'])

  it('ends well and leaves nothing in the kernel', { timeout: 120_000 }, async () => {
    const env = { ...process.env, NARU_STATE: join(folder, 'state'), HOME: folder, LANG: 'C' }
    for (let round = 0; round < 4; round++) {
      const argv = ['up', '--config', join(folder, 'naru.yaml'), '--api', 'off', '--json']
      const child = lab.host.start([process.execPath, main, ...argv], { env })
      const ended = once(child, 'exit')
      await expect.poll(ruleset, { timeout: 30_000, interval: 5 }).toContain('table inet naru')
      child.kill('SIGTERM')
      expect(await ended).toEqual([0, null])
      expect(ruleset()).toBe('')
      expect(lab.switches()).toEqual(lab.before)
    }
  })
})
