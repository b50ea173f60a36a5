import { once } from 'node:events'
import { expect, it } from 'vitest'
import { parseRule } from '../../src/model/rule-file.ts'
import { describeWith } from '../needs.ts'
import { echoes, hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const
const count = 10_000
const firstPort = 20_000

describeWith(needs, 'ten thousand rules in the kernel', () => {
  it(
    'start, change one by one, are taken over by the next process, and go',
    { timeout: 90_000 },
    async () => {
      await using lab = new KernelLab()
      lab.serve(lab.target, 80, 'old')
      lab.serve(lab.target, 81, 'new')
      const killed = lab.engine('4194303-1')
      const rule = (index: number, port = 80): object => ({
        listen: `0.0.0.0:${firstPort + index}`,
        target: `${targetAddress}:${port}`,
      })
      const all = Array.from({ length: count }, (_, index) => index)
      const leases = await Promise.all(all.map((index) => lab.open(killed, `rule-${index}`, rule(index))))
      const last = firstPort + count - 1
      const old = await lab.dial(lab.client, hostAddress, last)
      expect(String((await once(old, 'data'))[0])).toBe('old')

      for (const port of [81, 80, 81, 80, 81]) {
        leases[count - 1]?.update(parseRule(`rule-${count - 1}`, rule(count - 1, port)))
        await leases[count - 1]?.settled()
      }
      const changed = await lab.dial(lab.client, hostAddress, last)
      expect(String((await once(changed, 'data'))[0])).toBe('new')
      expect(await echoes(old, 'untouched')).toBe('untouched')
      killed.abandon()

      const next = lab.engine()
      await Promise.all(all.map((index) => lab.open(next, `rule-${index}`, rule(index))))
      expect(await echoes(old, 'still there')).toBe('still there')
      await next.close()
      expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    },
  )

  it('end with their connections well within the time of a stop', { timeout: 60_000 }, async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const engine = lab.engine()
    const ports = Array.from({ length: 300 }, (_, index) => firstPort + index)
    const target = `${targetAddress}:80`
    const open = (port: number) => lab.open(engine, `rule-${port}`, { listen: `0.0.0.0:${port}`, target })
    const leases = await Promise.all(ports.map(open))
    for (const port of [...ports, ...ports]) await lab.dial(lab.client, hostAddress, port)
    // Half of them are drained, as rules that were taken out of the file a moment before.
    const draining = leases
      .slice(0, 150)
      .map((lease) =>
        lease.drain({ drainMs: 30_000, reason: 'drained', signal: AbortSignal.timeout(30_000) }),
      )
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(5000)
    await Promise.all(draining)
    expect(lab.host.run(['conntrack', '-L', '-p', 'tcp', '--state', 'ESTABLISHED'])).toBe('')
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it('carries one rule of nine thousand ports that all move', { timeout: 60_000 }, async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 21_999, 'the last one')
    await lab.open(lab.engine(), 'many', {
      listen: '0.0.0.0:10000-18999',
      target: `${targetAddress}:13000-21999`,
    })
    const socket = await lab.dial(lab.client, hostAddress, 18_999)
    expect(String((await once(socket, 'data'))[0])).toBe('the last one')
  })
})
