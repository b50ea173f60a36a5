import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { importFormats } from '../model/import-export.ts'
import type { RuleInput } from '../model/naru-api.ts'
import { parseRule } from '../model/rule-file.ts'
import {
  capabilityIds,
  capabilities,
  capabilitiesOf,
  isVital,
  type Capability,
} from './shared/capabilities.ts'
import { exportRules, importRules, writable } from './index.ts'
import { formatReference } from './reference.ts'

const plain: RuleInput = { listen: '0.0.0.0:8888', target: '10.0.0.2:80' }
const two = ['10.0.0.2:80', '10.0.0.3:80']

/** A rule that says this, and as little else as may be. */
const samples: Record<Capability, RuleInput> = {
  udp: { listen: '0.0.0.0:53/udp', target: '10.0.0.2:53' },
  range: { listen: '0.0.0.0:8000-8002', target: '10.0.0.2:8000-8002' },
  unixListen: { ...plain, listen: 'unix:/run/a.sock' },
  unixTarget: { ...plain, target: 'unix:/run/b.sock' },
  nameTarget: { ...plain, target: 'db.example.org:5432' },
  guestTarget: { ...plain, target: 'docker:web:80' },
  targets: { listen: '0.0.0.0:8888', targets: two },
  weight: { listen: '0.0.0.0:8888', targets: [{ to: '10.0.0.2:80', weight: 3 }, '10.0.0.3:80'] },
  backup: { listen: '0.0.0.0:8888', targets: ['10.0.0.2:80', { to: '10.0.0.3:80', backup: true }] },
  serverName: {
    listen: '0.0.0.0:443',
    targets: [{ to: '10.0.0.2:443', name: 'a.example.org' }, '10.0.0.3:443'],
  },
  leastConnections: { listen: '0.0.0.0:8888', targets: two, balance: 'least-connections' },
  sourceHash: { listen: '0.0.0.0:8888', targets: two, balance: 'source-hash' },
  health: { ...plain, health: { every: '2s' } },
  publish: { ...plain, publish: true },
  allow: { ...plain, allow: '10.0.0.0/8' },
  deny: { ...plain, deny: '10.0.0.0/8' },
  'limits.connections': { ...plain, limits: { connections: 10 } },
  'limits.perSource': { ...plain, limits: { perSource: 10 } },
  'limits.newPerSecond': { ...plain, limits: { newPerSecond: 10 } },
  'limits.bandwidth': { ...plain, limits: { bandwidth: '8mbit' } },
  'timeouts.connect': { ...plain, timeouts: { connect: '2s' } },
  'timeouts.idle': { ...plain, timeouts: { idle: '2m' } },
  'timeouts.udp': { listen: '0.0.0.0:53/udp', target: '10.0.0.2:53', timeouts: { udp: '72s' } },
  'timeouts.drain': { ...plain, timeouts: { drain: '2s' } },
  'timeouts.hello': { ...plain, timeouts: { hello: '2s' } },
  'timeouts.keepalive': { ...plain, timeouts: { keepalive: '90s' } },
  keep: { ...plain, source: 'keep' },
  proxyV1: { ...plain, source: 'proxy-v1' },
  proxyV2: { ...plain, source: 'proxy-v2' },
  acceptProxy: { ...plain, acceptProxy: '10.0.0.1' },
  engine: { ...plain, engine: 'sockets' },
  until: { ...plain, until: '2099-01-01T00:00:00Z' },
  disabled: { ...plain, enabled: false },
}

it.each(capabilityIds)('a rule that says %s is known by it, and a plain one says nothing', (id) => {
  expect(capabilitiesOf(parseRule('sample', samples[id]))).toContain(id)
  expect(capabilitiesOf(parseRule('sample', plain))).toEqual([])
})

describe.each(writable)('$id', ({ id, carries }) => {
  it.each(capabilityIds)('does with %s as the table says', (aspect) => {
    const rule = parseRule('sample', samples[aspect])
    const { rules, losses } = exportRules(id, [rule])
    const named = losses.filter(({ what }) => what === aspect)
    if (carries[aspect] === false) {
      expect(named).toHaveLength(1)
      const onlyUdp = rule.listen.kind === 'inet' && !rule.listen.protocols.includes('tcp')
      const leftOut = isVital(aspect) || (aspect === 'udp' && onlyUdp)
      expect(named[0]?.leftOut).toBe(leftOut)
      if (leftOut) expect(rules).toEqual([])
    } else {
      expect(named.filter(({ leftOut }) => leftOut)).toEqual([])
      expect(rules).toEqual(
        capabilitiesOf(rule).every((one) => carries[one] !== false || !isVital(one)) ? ['sample'] : [],
      )
    }
  })

  if ((importFormats as readonly string[]).includes(id))
    it.each(capabilityIds.filter((aspect) => carries[aspect] === true))('gives %s back', (aspect) => {
      const rule = parseRule('sample', samples[aspect])
      const { text, rules } = exportRules(id, [rule])
      if (rules.length === 0) return
      const [found] = importRules(text).rules
      expect(capabilitiesOf(parseRule('sample', found?.rule))).toContain(aspect)
    })
})

it('the docs say what the formats carry (node scripts/generate.mjs)', async () => {
  const page = await readFile(new URL('../../docs/import-export.md', import.meta.url), 'utf8')
  expect(page).toBe(formatReference())
  expect(page.split('\n').filter((line) => line.startsWith('| ')).length).toBe(
    Object.keys(capabilities).length + 2,
  )
})

it.each(writable.map(({ id }) => id))('%s: a rule is not open again once its time is over', (id) => {
  const rule = parseRule('guest', {
    listen: '0.0.0.0:8007',
    target: '10.0.0.2:80',
    until: '2030-01-01T00:00:00Z',
  })
  const over = Date.parse('2030-01-01T00:00:00Z')
  expect(exportRules(id, [rule], over)).toMatchObject({
    rules: [],
    losses: [{ what: 'until', leftOut: true }],
  })
  const before = exportRules(id, [rule], over - 1)
  expect(before.rules).toEqual(['guest'])
  expect(before.losses).toContainEqual(expect.objectContaining({ what: 'until', leftOut: false }))
})
