import { expect, test } from 'vitest'
import { say } from '../base/text.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Hop, Json } from '../model/hop.ts'
import { parseRule } from '../model/rule-file.ts'
import { addressesOf } from './addresses.ts'
import type { LanView } from './lan.ts'
import { manualRow } from './manual-row.ts'

const home: LanView = {
  addresses: ['192.168.50.23'],
  gateway: { address: '192.168.50.1', source: '192.168.50.23' },
}

function hop(name: Hop, state: HopStatus['state'], more: { data?: Json; problem?: string } = {}): HopStatus {
  return { hop: name, member: null, state, text: say('', ''), notes: [], data: null, checkedAt: 0, ...more }
}

const mapped = (externalAddress: string | null, ...ports: number[]): HopStatus =>
  hop('router', 'ok', { data: ports.map((externalPort) => ({ externalAddress, externalPort })) })

function told(rule: object, hops: readonly HopStatus[] = [hop('relay', 'ok')], place = home): string[] {
  const parsed = parseRule('web', rule)
  return addressesOf(parsed, { hops, place, samplePort: 6280 }).map(({ scope, text }) => `${scope} ${text}`)
}

test('a rule on every address is found on this machine and on its network', () => {
  expect(told({ listen: 8888, target: '10.0.0.2:9000' })).toEqual([
    'machine 127.0.0.1:8888',
    'lan 192.168.50.23:8888',
  ])
})

test('http:// stands where the service is known to be web, and nowhere else', () => {
  expect(told({ listen: 8888, target: '10.0.0.2:80' })[1]).toBe('lan http://192.168.50.23:8888')
  expect(told({ listen: 8888, target: '10.0.0.2:443' })[1]).toBe('lan https://192.168.50.23:8888')
  expect(told({ listen: 8888, target: 6280 })[0]).toBe('machine http://127.0.0.1:8888')
  expect(told({ listen: 8080, target: '10.0.0.2:22' })[1]).toBe('lan 192.168.50.23:8080')
  expect(told({ listen: '8888/udp', target: '10.0.0.2:80' })[1]).toBe('lan 192.168.50.23:8888')
})

test('a rule on loopback is given to nobody else', () => {
  expect(told({ listen: '127.0.0.1:8888', target: 80 })).toEqual(['machine http://127.0.0.1:8888'])
  expect(told({ listen: '[::1]:8888', target: 9000 })).toEqual(['machine [::1]:8888'])
})

test('the internet finds the port that the router gave, at the outer of two routers', () => {
  const rule = { listen: '8000-8001', target: '10.0.0.2:9000-9001' }
  expect(told(rule, [hop('relay', 'ok'), mapped('203.0.113.7', 8001, 8000, 9000)])).toEqual([
    'machine 127.0.0.1:8000-8001',
    'lan 192.168.50.23:8000-8001',
    'internet 203.0.113.7:8000-8001',
    'internet 203.0.113.7:9000',
  ])
  const outer = { externalAddress: '198.51.100.4', externalPort: 8000 }
  const inner = { externalAddress: '192.168.1.2', externalPort: 8000 }
  const both = hop('router', 'ok', { data: [{ inner, outer }] })
  expect(told(rule, [hop('relay', 'ok'), both])[2]).toBe('internet 198.51.100.4:8000')
})

test('of two on the internet the IPv4 one stands last, where the one to give is, whichever router was faster', () => {
  const rule = { listen: 8888, target: '10.0.0.2:9000' }
  const row = (externalAddress: string): Json => ({ externalAddress, externalPort: 8888 })
  for (const data of [
    [row('203.0.113.7'), row('2001:db8::7')],
    [row('2001:db8::7'), row('203.0.113.7')],
  ])
    expect(told(rule, [hop('relay', 'ok'), hop('router', 'ok', { data })]).at(-1)).toBe(
      'internet 203.0.113.7:8888',
    )
})

test('an address ends where the way does: a router that failed, a firewall that is shut, a relay that is not open', () => {
  const rule = { listen: 8888, target: '10.0.0.2:9000' }
  const open = [hop('relay', 'ok'), mapped('203.0.113.7', 8888)]
  expect(told(rule, [hop('relay', 'ok'), mapped('192.168.1.2', 8888)])).toHaveLength(2)
  expect(told(rule, [hop('relay', 'ok'), hop('router', 'broken')])).toHaveLength(2)
  expect(told(rule, [...open, hop('firewall', 'broken')])).toEqual(['machine 127.0.0.1:8888'])
  expect(told(rule, [hop('relay', 'broken'), mapped('203.0.113.7', 8888)])).toEqual([])
})

test('whom the allow-list leaves out is given no address', () => {
  const hops = [hop('relay', 'ok'), mapped('203.0.113.7', 8888)]
  const rule = (allow: string[]): object => ({ listen: 8888, target: '10.0.0.2:9000', allow })
  expect(told(rule(['192.168.50.0/24']), hops)).toEqual(['lan 192.168.50.23:8888'])
  expect(told(rule(['0.0.0.0/0']), hops)).toHaveLength(3)
  expect(told(rule(['198.51.100.0/24']), hops)).toContain('internet 203.0.113.7:8888')
  expect(told(rule(['127.0.0.0/8']), hops)).toEqual(['machine 127.0.0.1:8888'])
})

test('a machine with a public address of its own is on the internet without a router', () => {
  const server: LanView = { addresses: ['9.9.9.9', '2001:4860::9'], gateway: null }
  expect(told({ listen: 8888, target: 9000 }, undefined, server)).toEqual([
    'machine 127.0.0.1:8888',
    'internet 9.9.9.9:8888',
    'internet [2001:4860::9]:8888',
  ])
  expect(told({ listen: '0.0.0.0:8888', target: 9000 }, undefined, server)).toHaveLength(2)
})

test('where no router answers, the row to type has this rule’s name, ports and this machine’s address', () => {
  const rule = parseRule('iis', {
    listen: 8888,
    target: '10.0.0.2:80',
    publish: { router: 'auto', externalPort: 9999 },
  })
  const failed = (problem: string): HopStatus[] => [hop('router', 'broken', { problem })]
  const steps = manualRow(rule, failed('ROUTER_NOT_FOUND'), home, null)
  expect(steps?.maker).toBe('asus')
  expect(Object.fromEntries(steps?.rows[0]?.map(({ label, value }) => [label.en, value]) ?? [])).toEqual({
    'Service Name': 'iis',
    Protocol: 'TCP',
    'External Port': '9999',
    'Internal Port': '8888',
    'Internal IP Address': '192.168.50.23',
  })
  expect(manualRow(rule, failed('ROUTER_CARRIER_NAT'), home, null)).toBeNull()
  expect(manualRow(rule, [hop('router', 'ok')], home, null)).toBeNull()
})

test('behind another router one row is half of the way, and the other half is said', () => {
  const rule = parseRule('iis', { listen: 8888, target: '10.0.0.2:80', publish: { router: 'auto' } })
  const problem = (code: string): HopStatus[] => [hop('router', 'broken', { problem: code })]
  const said = (code: string): string | undefined =>
    manualRow(rule, problem(code), home, null)?.notes.at(-1)?.en
  expect(said('ROUTER_BEHIND_ROUTER')).toMatch(/^and on the upper router, too: external port 8888 \(TCP\)/)
  expect(said('ROUTER_NOT_FOUND')).not.toMatch(/upper router/)
})
