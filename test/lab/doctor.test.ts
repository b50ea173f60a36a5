/** The fault matrix: each cause is really made, and the doctor's one root cause is its code. */
import { expect, it } from 'vitest'
import type { Diagnosis } from '../../src/model/diagnosis.ts'
import { describeWith } from '../needs.ts'
import { answers, Chain, startService, worstMs } from './chain.ts'
import { faults } from './faults.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: [
    'ip',
    'nft',
    'miniupnpd',
    'curl',
    'upnpc',
    'firewalld',
    'dbus-daemon',
    'qemu-system-x86_64',
    'busybox',
  ],
} as const

describeWith(needs, 'the doctor on the whole chain', () => {
  it('finds nothing wrong where nothing is', { timeout: 120_000 }, async () => {
    await using chain = await Chain.open()
    expect(chain.hops.map(({ hop, state }) => `${hop} ${state}`)).toEqual([
      'relay ok',
      'firewall ok',
      'router ok',
    ])
    expect(await answers(chain.internet, 'http://11.0.0.2:8888/')).toBe(true)
    for (let turn = 0; turn < 5; turn++) {
      const diagnosis = await chain.diagnose()
      expect(causes(diagnosis)).toEqual([])
      expect(diagnosis.checks.filter(({ state }) => state !== 'passed' && state !== 'found')).toEqual([])
    }
  })

  for (const fault of faults) {
    it(`names ${fault.code}: ${fault.made}`, { timeout: 120_000 }, async () => {
      await using chain = await Chain.open(fault.chain)
      await fault.make?.(chain)
      const diagnosis = await chain.diagnose()
      if (process.env.NARU_SHOW)
        process.stderr.write(`${fault.code}: ${diagnosis.tookMs} ms; ${shown(diagnosis)}\n`)
      expect(causes(diagnosis), shown(diagnosis)).toEqual([fault.code])
      expect(diagnosis.tookMs).toBeLessThanOrEqual(worstMs)
    })
  }
})

describeWith(needs, 'two faults at once', () => {
  it(
    'service-down and block-rule: the inner one leads, and after its repair the outer one',
    { timeout: 120_000 },
    async () => {
      await using chain = await Chain.open({ service: null })
      blockIt(chain)
      expect(causes(await chain.diagnose())).toEqual(['service-down', 'block-rule'])
      await startService(chain.host, '127.0.0.1:80')
      expect(causes(await chain.diagnose())).toEqual(['block-rule'])
    },
  )

  it(
    'service-down, block-rule and mapping-lost, repaired from the inside out',
    { timeout: 90_000 },
    async () => {
      await using chain = await Chain.open({ service: null })
      await chain.router.restart()
      expect(causes(await chain.diagnose())).toEqual(['service-down', 'mapping-lost'])
      await startService(chain.host, '127.0.0.1:80')
      blockIt(chain)
      expect(causes(await chain.diagnose())).toEqual(['block-rule', 'mapping-lost'])
      chain.host.run([
        'nft',
        'delete',
        'rule',
        'inet',
        'filter',
        'input',
        'handle',
        handleOf(chain, 'dport 8888 drop'),
      ])
      expect(causes(await chain.diagnose())).toEqual(['mapping-lost'])
      await chain.openHop('router')
      expect(causes(await chain.diagnose())).toEqual([])
    },
  )

  it('host-firewall and carrier-nat', { timeout: 120_000 }, async () => {
    const fault = faults.find(({ code }) => code === 'carrier-nat')
    await using chain = await Chain.open({ ...fault?.chain, without: ['firewall'] })
    expect(causes(await chain.diagnose())).toEqual(['host-firewall', 'carrier-nat'])
    await chain.openHop('firewall')
    expect(causes(await chain.diagnose())).toEqual(['carrier-nat'])
  })
})

const blockIt = (chain: Chain): void =>
  void chain.host.run(['nft', 'insert', 'rule', 'inet', 'filter', 'input', 'tcp', 'dport', '8888', 'drop'])

function handleOf(chain: Chain, words: string): string {
  const line = chain.host
    .run(['nft', '-a', 'list', 'chain', 'inet', 'filter', 'input'])
    .split('\n')
    .find((one) => one.includes(words))
  return /# handle (\d+)/.exec(line ?? '')?.[1] ?? ''
}

const causes = (diagnosis: Diagnosis): string[] => diagnosis.causes.map(({ code }) => code)

function shown({ causes: found, folded, checks }: Diagnosis): string {
  const lines = found.map(({ code, evidence }) => `${code}: ${evidence.map(({ en }) => en).join(' | ')}`)
  const under = folded.map(({ finding, under: root }) => `${finding.code} under ${root}`)
  const failed = checks
    .filter(({ problem }) => problem)
    .map(({ code, problem }) => `${code} ${problem?.message.en}`)
  return [...lines, ...under, ...failed].join('; ')
}
