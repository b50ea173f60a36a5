import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { verbatim } from '../base/text.ts'
import { noCounters } from '../rules/counters.ts'
import { abandoned, claim } from '../instance/instance.ts'
import type { RuleStatus } from '../model/naru-api.ts'
import { foregroundRules, telling } from './foreground.ts'
import { recover } from './recover.ts'

let root: string
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), 'naru-foreground-'))))
afterEach(() => rmSync(root, { recursive: true, force: true }))

const web = (state: 'ok' | 'broken'): RuleStatus => ({
  name: 'web',
  rule: { listen: '8888', target: '10.0.0.5:80' },
  listen: '8888',
  targets: ['10.0.0.5:80'],
  state: state === 'ok' ? 'open' : 'degraded',
  service: 'ok',
  engine: null,
  hops: [
    {
      hop: 'router',
      member: 'pcp',
      state,
      text: verbatim(state),
      notes: [],
      data: null,
      problem: null,
      checkedAt: null,
    },
  ],
  counters: noCounters,
  rate: { toTarget: 0, toClient: 0 },
  addresses: [],
  byHand: null,
  until: null,
})

const known = async (): Promise<unknown> =>
  (await foregroundRules(root)).map(({ rule, hops, inForeground }) => [
    rule.name,
    hops[0]?.state,
    inForeground,
  ])

it('another process knows the rule and how its hops are, until it ends', async () => {
  const others = telling(await claim(root, 'open-1', null))
  expect(await known()).toEqual([])
  others.tell(web('ok'))
  others.tell(web('ok'))
  others.tell(web('broken'))
  await vi.waitFor(async () => expect(await known()).toEqual([['web', 'broken', true]]))
  others.tell(web('ok'))
  await others.instance.release({ forget: true })
  expect(existsSync(others.instance.folder)).toBe(false)
})

it('reads nothing of a daemon, of one that told nothing, nor what is no rule', async () => {
  telling(await claim(root, 'up', '/etc/naru.yaml')).tell(web('ok'))
  await claim(root, 'open-2', null)
  const { instance } = telling(await claim(root, 'open-3', null))
  const noRule = JSON.stringify({ ...web('ok'), rule: { listen: '99999' } })
  const noHops = JSON.stringify({ ...web('ok'), hops: 5 })
  for (const word of ['{', '[]', noRule, noHops]) {
    writeFileSync(join(instance.folder, 'rule.json'), word)
    expect(await known()).toEqual([])
  }
})

it('what a killed one left is not believed, also where it could not be undone yet', async () => {
  const dead = { pid: process.pid, started: 'another boot', file: null, socket: '', web: null }
  const effect = { id: 1, rule: 'web', hop: 'router', member: 'gone', effect: {}, at: 0 }
  const folder = join(root, 'open-4')
  mkdirSync(folder)
  writeFileSync(join(folder, 'lock'), JSON.stringify(dead))
  writeFileSync(join(folder, 'rule.json'), JSON.stringify(web('broken')))
  writeFileSync(join(folder, 'journal'), `${JSON.stringify({ op: 'intend', ...effect })}\n`)
  expect(await known()).toEqual([])
  await recover(root, { except: null, tell: () => {}, signal: AbortSignal.timeout(30_000) })
  // Free for the next one that tries.
  expect(existsSync(join(folder, 'lock'))).toBe(false)
  expect(await abandoned(root)).toEqual(['open-4'])
  expect(await known()).toEqual([])
})
