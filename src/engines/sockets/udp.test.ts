import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import { ruleOf, sendTo, type RuleChange } from '../../../test/conformance/engine/world.ts'
import { parseCidr } from '../../base/address.ts'
import { systemClock } from '../../base/clock.ts'
import type { InetListen } from '../../model/listen.ts'
import { Descriptors } from '../../relay/descriptors.ts'
import { Meter } from '../../relay/meter.ts'
import { writeProxyV2 } from '../../relay/proxy/write.ts'
import { LocalTally } from '../../relay/tally.ts'
import { termsOf, type Terms } from '../../relay/terms.ts'
import { DatagramRelay } from './udp.ts'

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

/** A rule on a port of the system's choice, to a target that hears and says nothing. */
async function relayOf(change: RuleChange, bend: (terms: Terms) => Terms = (terms) => terms, at = 0) {
  const target = await bound()
  const rule = ruleOf('127.0.0.1:1/udp', `127.0.0.1:${target.address().port}`, change)
  const listen: InetListen = { ...(rule.listen as InetListen), ports: { first: at, last: at } }
  const tally = new LocalTally()
  const meter = new Meter({ rule: 'test', engine: 'sockets', now: () => 0, onEvent: () => {} })
  const faults: string[] = []
  const relay = await DatagramRelay.open(listen, bend(termsOf(rule, tally)), {
    meter,
    clock: systemClock,
    resolve: () => Promise.reject(new Error('no names here')),
    descriptors: new Descriptors(),
    owner: () => Promise.resolve(null),
    onTrouble: () => {},
    onFault: ({ message }) => faults.push(message),
  })
  ends.push(() => relay.close())
  const port = Number(/:(\d+)\//.exec(relay.listening[0]!)?.[1])
  return { relay, meter, tally, faults, port, target }
}

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4')
  ends.push(() => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

it('what nobody foresaw ends one session, gives its place back and is told', async () => {
  let broken = true
  const bucket = {
    spend() {
      if (broken) throw new Error('unforeseen')
      return 0
    },
  }
  const { meter, tally, faults, port, target } = await relayOf({}, (terms) => ({ ...terms, bucket }))
  const client = await bound()
  await sendTo(client, 'one', port)
  await expect.poll(() => meter.counters().closed['engine-error']).toBe(1)
  expect(faults).toEqual(['unforeseen'])
  expect(tally.open).toBe(0)
  broken = false
  const heard = once(target, 'message')
  await sendTo(client, 'two', port)
  expect(String((await heard)[0])).toBe('two')
})

it('whom a trusted proxy names is not remembered where nobody lets it in', async () => {
  const loopback = [parseCidr('127.0.0.0/8')]
  const { meter, port } = await relayOf({ acceptProxy: loopback, deny: [parseCidr('192.0.2.0/24')] })
  const proxy = await bound()
  const named = { address: '192.0.2.1', port: 9 }
  const header = writeProxyV2(named, { address: '127.0.0.1', port }, { transport: 'datagram' })
  await sendTo(proxy, Buffer.concat([header, Buffer.from('one')]), port)
  await expect.poll(() => meter.counters().closed).toEqual({ denied: 1 })
  // Without a header it would speak for whom it named last.
  await sendTo(proxy, 'two', port)
  await expect.poll(() => meter.counters().closed).toEqual({ denied: 1, 'proxy-header': 1 })
})

it('where the system gives no ear of its own, sessions go on until the port is wanted', async () => {
  const { relay, meter, port, target } = await relayOf({})
  const client = await bound()
  const said = async (text: string, by: Socket): Promise<void> => {
    const heard = once(by, 'message')
    await sendTo(client, text, port)
    expect(String((await heard)[0])).toBe(text)
  }
  await said('one', target)
  await relay.retire()
  await said('two', target)
  expect(meter.counters()).toMatchObject({ open: 1, opened: 1 })
  const next = await relayOf({}, undefined, port)
  expect(meter.counters()).toMatchObject({ open: 0, closed: { drained: 1 } })
  await said('three', next.target)
})
