import { expect, it } from 'vitest'
import type { EngineEvent } from '../contract.ts'
import { parseFlow, type ConntrackFlow } from './flows.ts'
import { Traffic } from './traffic.ts'

const established =
  'tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=40312 dport=8888 packets=5 bytes=1280 src=10.2.0.2 dst=10.2.0.1 sport=80 dport=40312 packets=4 bytes=900 [ASSURED] mark=0 use=1 id=3735928559'

function flow(changes: Partial<ConntrackFlow> = {}): ConntrackFlow {
  const parsed = parseFlow(established)
  if (!parsed) throw new Error('not parsed')
  return { ...parsed, ...changes }
}

it('reads a line of conntrack', () => {
  expect(flow()).toMatchObject({
    protocol: 'tcp',
    client: '10.1.0.2',
    clientPort: 40_312,
    listen: '10.1.0.1',
    listenPort: 8888,
    target: '10.2.0.2',
    targetPort: 80,
    state: 'ESTABLISHED',
    unreplied: false,
    packetsToTarget: 5,
    bytesToTarget: 1280,
    bytesToClient: 900,
  })
})

it('reads UDP, IPv6, an unanswered one and one without counters', () => {
  const udp =
    'udp      17 29 src=fd01::2 dst=fd01::1 sport=5000 dport=53 [UNREPLIED] src=fd02::2 dst=fd02::1 sport=53 dport=5000 mark=0 use=1 id=7'
  expect(parseFlow(udp)).toMatchObject({
    protocol: 'udp',
    client: 'fd01::2',
    unreplied: true,
    bytesToTarget: 0,
  })
  expect(parseFlow('icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=1')).toBeNull()
})

function watched(): { traffic: Traffic; said: string[] } {
  const said: string[] = []
  const onEvent = (event: EngineEvent): void => {
    if (event.type === 'opened' || event.type === 'closed')
      said.push(`${event.type} ${event.connection().closeReason ?? ''}`.trim())
  }
  return { traffic: new Traffic('web', () => '10.1.0.1:8888', onEvent), said }
}

it('tells a clean end once, though conntrack shows it for two minutes more', () => {
  const { traffic, said } = watched()
  traffic.seen([flow()], 1000)
  traffic.seen([flow({ state: 'TIME_WAIT', bytesToTarget: 2000 })], 2000)
  traffic.seen([flow({ state: 'TIME_WAIT', bytesToTarget: 2000 })], 3000)
  traffic.seen([], 4000)
  expect(said).toEqual(['opened', 'closed finished'])
  expect(traffic.counters()).toMatchObject({
    open: 0,
    opened: 1,
    bytesToTarget: 2000,
    closed: { finished: 1 },
  })
})

it('tells a refusal from a reset, and does not say who reset', () => {
  const { traffic, said } = watched()
  traffic.seen([flow({ state: 'CLOSE', packetsToTarget: 1, packetsToClient: 1 })], 1000)
  traffic.seen([flow({ key: 'other' })], 2000)
  traffic.seen([flow({ key: 'other', state: 'CLOSE' })], 3000)
  expect(said).toEqual(['opened', 'closed target-refused', 'opened', 'closed reset'])
})

it('tells by what was seen last why one has gone', () => {
  const { traffic } = watched()
  traffic.seen(
    [flow({ key: 'a', state: 'SYN_SENT', unreplied: true }), flow({ key: 'b', protocol: 'udp', state: '' })],
    1,
  )
  traffic.seen([], 2)
  expect(traffic.counters().closed).toEqual({ 'connect-timeout': 1, idle: 1 })
})

it('takes what shows under the key of one that is gone, or could not be ended, for a new one', () => {
  const { traffic, said } = watched()
  traffic.seen([flow({ protocol: 'udp', state: '' })], 1)
  const keys = traffic.flows().map(({ key }) => key)
  traffic.cut(keys, 'target-lost', 2)
  traffic.seen([flow({ protocol: 'udp', state: '' })], 3)
  expect(traffic.flows()).toEqual([])
  traffic.comeAnew(keys)
  traffic.seen([flow({ protocol: 'udp', state: '' })], 4)
  expect(traffic.flows()).toHaveLength(1)
  expect(said).toEqual(['opened', 'closed target-lost', 'opened'])
})

it('counts a client that takes its port again, though conntrack gives it the key of the one that is over', () => {
  const { traffic, said } = watched()
  traffic.seen([flow({ state: 'TIME_WAIT' })], 1)
  traffic.seen([flow({ state: 'TIME_WAIT' })], 2)
  traffic.seen([flow({ state: 'ESTABLISHED' })], 3)
  expect(said).toEqual(['opened', 'closed finished', 'opened'])
})
