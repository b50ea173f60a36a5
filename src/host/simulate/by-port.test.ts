import { expect, it } from 'vitest'
import { rulesFor } from './by-port.ts'
import { readSaved } from './iptables.ts'
import { objectsIn } from '../../linux/nft.ts'
import { readListing, readNft } from './nft-ruleset.ts'
import type { Chain, Packet } from './program.ts'

const packet = (port: number): Packet => ({
  family: 4,
  protocol: 'tcp',
  port,
  originalPort: port,
  source: null,
  destinations: ['10.0.0.1'],
  local: true,
  from: 'eth0',
  to: null,
  rewritten: false,
  untracked: false,
  mark: 0,
})

const count = 10_000

/** Ten thousand ports of one rule each, with rules of every other kind strewn in. */
const saved = [
  '*filter',
  ':INPUT DROP [0:0]',
  '-A INPUT -i lo -j ACCEPT',
  ...Array.from({ length: count }, (_, at) => {
    const kinds = ['--dport PORT', '! --dport PORT', '--dport PORT:65535', '--sport PORT']
    return `-A INPUT -p tcp -m tcp ${kinds[at % 100 < 97 ? 0 : (at % 100) - 96]?.replace('PORT', String(10_000 + at))} -j ACCEPT`
  }),
  'COMMIT',
].join('\n')

const match = (left: object, op: string, right: unknown): object => ({ match: { op, left, right } })
const dport = { payload: { protocol: 'tcp', field: 'dport' } }
const nft = JSON.stringify({
  nftables: [
    { chain: { family: 'inet', table: 'filter', name: 'input', hook: 'input', prio: 0, policy: 'drop' } },
    ...Array.from({ length: count }, (_, at) => {
      const port = 10_000 + at
      const kinds = [
        match(dport, '==', port),
        match(dport, '!=', port),
        match(dport, '==', { range: [port, 65_535] }),
        match({ payload: { protocol: 'tcp', field: 'sport' } }, '==', port),
      ]
      const expr = [kinds[at % 100 < 97 ? 0 : (at % 100) - 96], { accept: null }]
      return { rule: { family: 'inet', table: 'filter', chain: 'input', handle: at + 2, expr } }
    }),
  ],
})

it.each([
  ['iptables', () => readSaved(saved, 'iptables-nft', 'ip', new Map()).chains[0] as Chain],
  ['nftables', () => readNft(objectsIn(nft) ?? [], readListing('')).chains[0] as Chain],
])('of ten thousand rules of %s few are walked, and none is left out that may match', (_, read) => {
  const chain = read()
  for (const port of [22, 10_000, 10_097, 15_000, 19_999]) {
    const met = rulesFor(chain, port)
    expect(met.length).toBeLessThan(count / 20)
    const mayMatch = chain.rules.filter(({ matches }) => matches.every((one) => one(packet(port)) !== 'no'))
    const walked = new Set(met)
    expect(mayMatch.every((rule) => walked.has(rule))).toBe(true)
    expect(met.map(({ handle }) => handle)).toEqual(met.map(({ handle }) => handle).toSorted((a, b) => a - b))
  }
})
