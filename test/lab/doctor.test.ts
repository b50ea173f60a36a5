/** The fault matrix: each cause is really made, and the doctor's one root cause is its code. */
import { expect, it } from 'vitest'
import type { Diagnosis } from '../../src/model/diagnosis.ts'
import { describeWith } from '../needs.ts'
import { answers, Chain } from './chain.ts'
import { faults } from './faults.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'miniupnpd', 'curl', 'upnpc'],
} as const

describeWith(needs, 'the doctor on the whole chain', () => {
  it('finds nothing wrong where nothing is', { timeout: 60_000 }, async () => {
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
    it(`names ${fault.code}: ${fault.made}`, { timeout: 60_000 }, async () => {
      await using chain = await Chain.open(fault.chain)
      await fault.make?.(chain)
      const diagnosis = await chain.diagnose()
      if (process.env.NARU_SHOW)
        process.stderr.write(`${fault.code}: ${diagnosis.tookMs} ms; ${shown(diagnosis)}\n`)
      expect(causes(diagnosis), shown(diagnosis)).toEqual([fault.code])
      expect(diagnosis.tookMs).toBeLessThan(12_000)
    })
  }
})

const causes = (diagnosis: Diagnosis): string[] => diagnosis.causes.map(({ code }) => code)

function shown({ causes: found, folded, checks }: Diagnosis): string {
  const lines = found.map(({ code, evidence }) => `${code}: ${evidence.map(({ en }) => en).join(' | ')}`)
  const under = folded.map(({ finding, under: root }) => `${finding.code} under ${root}`)
  const failed = checks
    .filter(({ problem }) => problem)
    .map(({ code, problem }) => `${code} ${problem?.message.en}`)
  return [...lines, ...under, ...failed].join('; ')
}
