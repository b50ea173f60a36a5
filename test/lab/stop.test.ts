/**
 * A stop at any moment of a change, on a host with a firewall: everything is as it was before, and that is what exit
 * code 0 says. Moments are random; a failure prints the seed, and NARU_SEED takes it.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { KernelLab, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const
const main = join(import.meta.dirname, '../../dist/main.js')
const rounds = 8
const longestStopMs = 6000
const seed = Number(process.env['NARU_SEED'] ?? Date.now() % 100_000)

describeWith(needs, 'a stop', () => {
  let lab: KernelLab
  let folder: string
  let file: string

  beforeAll(built, 120_000)
  beforeEach(async () => {
    lab = new KernelLab()
    folder = await mkdtemp(join(tmpdir(), 'naru-stop-lab-'))
    file = join(folder, 'naru.yaml')
    lab.host.run([
      'nft',
      'add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; ' +
        'add rule inet filter input ct state established,related accept; ' +
        'add rule inet filter input iifname "lo" accept',
    ])
  })
  afterEach(async () => {
    await lab[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    NARU_STATE: join(folder, 'state'),
    HOME: folder,
    LANG: 'C',
  })
  const start = (...args: string[]): ChildProcess =>
    lab.host.start([process.execPath, main, ...args, '--config', file], { env: env() })

  /** What is in force on the host. */
  const inForce = (): string =>
    lab.host.run(['sh', '-c', 'nft list ruleset; cat /proc/sys/net/ipv4/ip_forward; ip rule'])

  async function write(count: number): Promise<void> {
    const rules = Object.fromEntries(
      Array.from({ length: count }, (_, at) => [
        `r${at}`,
        {
          listen: `0.0.0.0:${8001 + at}`,
          target: `${targetAddress}:80`,
          engine: at % 2 === 0 ? 'splice' : 'kernel',
          publish: { firewall: 'nftables' },
        },
      ]),
    )
    await writeFile(`${file}.new`, JSON.stringify({ rules }))
    await rename(`${file}.new`, file)
  }

  it(
    `a moment after a change of the file or by a command leaves nothing in force (seed ${seed})`,
    { timeout: 240_000 },
    async () => {
      let state = seed
      const random = (): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
      const before = inForce()
      for (let round = 0; round < rounds; round++) {
        await write(2)
        const daemon = start('up', '--api', 'off', '--json')
        daemon.stderr?.resume()
        await once(createInterface({ input: daemon.stdout as NodeJS.ReadableStream }), 'line')
        const adding =
          round % 2 === 0 ? null : start('add', 'x', '8050', `${targetAddress}:80`, '--firewall=nftables')
        if (adding === null) await write(8)
        const pause = Math.floor(random() * 700)
        await sleep(pause)
        const began = performance.now()
        const signal = random() < 0.5 ? 'SIGTERM' : 'SIGINT'
        daemon.kill(signal)
        // As npm and `timeout` do, which pass on what the terminal has told already.
        const again = Math.floor(random() * 60)
        setTimeout(() => daemon.kill(signal), again)
        const [code] = (await once(daemon, 'exit')) as [number | null]
        if (adding?.exitCode === null) await once(adding, 'exit')
        expect([round, pause, again, code, inForce()]).toEqual([round, pause, again, 0, before])
        expect(performance.now() - began).toBeLessThan(longestStopMs)
      }
    },
  )

  it('of a rule in the foreground at any moment, also while it opens', { timeout: 120_000 }, async () => {
    const before = inForce()
    for (const [at, pause] of [100, 400, 700, 1000, 2000].entries()) {
      const argv = ['open', '8888', `${targetAddress}:80`, '--firewall', '--keep-partial']
      const open = lab.host.start([process.execPath, main, ...argv], { env: env() })
      open.stderr?.resume()
      open.stdout?.resume()
      await sleep(pause)
      const signal = at % 2 === 0 ? 'SIGHUP' : 'SIGTERM'
      open.kill(signal)
      setTimeout(() => open.kill(signal), 2)
      await once(open, 'exit')
      expect([pause, inForce()]).toEqual([pause, before])
    }
  })
})
