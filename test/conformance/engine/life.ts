/** A rule's edits and its end: what is under way goes on under the terms it began with. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type Socket } from 'node:net'
import { expect } from 'vitest'
import { parseCidr } from '../../../src/base/address.ts'
import type { EngineLease, MakeEngine } from '../../../src/engines/contract.ts'
import { makeSocketsEngine } from '../../../src/engines/sockets/engine.ts'
import type { Counters } from '../../../src/model/connection.ts'
import { mostCrossings } from '../../../src/relay/own-dials.ts'
import { freePort } from '../../free-port.ts'
import {
  bracketed,
  echo,
  ending,
  nextDatagram,
  promisesFor,
  readAll,
  readSome,
  ruleOf,
  sendTo,
  World,
  type ConformanceOptions,
} from './world.ts'

export function lifePromises(make: MakeEngine, options: ConformanceOptions): void {
  const promise = promisesFor(options)
  const userSpace = options.inKernel ? () => {} : promise

  async function say(socket: Socket, text: string): Promise<string> {
    socket.write(text)
    return String(await readSome(socket, text.length))
  }

  promise('update', 'an edit holds for new connections; those there are go on as they began', async () => {
    await using world = new World(make, options)
    const [old, next] = [await world.target(echo), await world.target((socket) => socket.end('next'))]
    const { lease, port, rule } = await world.forward(old.at)
    const client = await world.dial(port)
    expect(await say(client, 'before')).toBe('before')
    expect(lease.update(ruleOf(`${world.host}:${port}`, next.at))).toBe(true)
    expect(String(await readAll(await world.dial(port)))).toBe('next')
    expect(await say(client, 'after')).toBe('after')
    expect(lease.update({ ...rule, deny: [parseCidr('0.0.0.0/0')] })).toBe(true)
    expect(await ending(connect({ port, host: world.host }))).toMatch(/^ECONNRE(SET|FUSED)$/)
    expect(await say(client, 'and after')).toBe('and after')
  })

  promise('update-listen', 'another listen is not an edit', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    expect(lease.update(ruleOf(`${world.host}:${port === 65_535 ? port - 1 : port + 1}`, target.at))).toBe(
      false,
    )
  })

  promise('update-load', 'a hundred edits under load drop no connection', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port, rule } = await world.forward(target.at)
    const clients = await Promise.all(Array.from({ length: 20 }, () => world.dial(port)))
    const edits = new AbortController()
    const talk = async (client: Socket): Promise<number> => {
      let said = 0
      for (; !edits.signal.aborted || said < 10; said++)
        expect(await say(client, `line ${said}`)).toBe(`line ${said}`)
      return said
    }
    const talking = Promise.all(clients.map(talk))
    for (let edit = 0; edit < 100; edit++) {
      lease.update({
        ...rule,
        deny: [parseCidr(`10.0.${edit}.0/24`)],
        limits: { ...rule.limits, connections: 1000 + edit },
      })
      const fresh = await world.dial(port)
      expect(await say(fresh, 'fresh')).toBe('fresh')
      fresh.destroy()
    }
    edits.abort()
    await talking
  })

  promise('retire', 'a retired rule listens no more, and its connections live on', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    const client = await world.dial(port)
    await say(client, 'here')
    await lease.retire()
    expect(await ending(connect({ port, host: world.host }))).toBe('ECONNREFUSED')
    expect(await say(client, 'still')).toBe('still')
    client.end()
    expect(await ending(client)).toBe('end')
  })

  userSpace('drain', 'a drained rule waits for its connections, then cuts with the reason', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    const [leaves, stays] = [await world.dial(port), await world.dial(port)]
    await Promise.all([say(leaves, 'one'), say(stays, 'two')])
    const draining = lease.drain({ drainMs: 500, reason: 'drained', signal: AbortSignal.timeout(10_000) })
    leaves.end()
    expect(await ending(leaves)).toBe('end')
    expect(await say(stays, 'still')).toBe('still')
    await draining
    expect(await ending(stays)).toBe('ECONNRESET')
    expect(lease.counters()).toMatchObject({ open: 0, closed: { finished: 1, drained: 1 } })
  })

  userSpace('drain-empty', 'a drain ends with the last connection', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    const client = await world.dial(port)
    await say(client, 'one')
    const draining = lease.drain({ drainMs: 60_000, reason: 'drained', signal: AbortSignal.timeout(10_000) })
    client.end()
    await draining
    expect(lease.counters()).toMatchObject({ open: 0, closed: { finished: 1 } })
  })

  userSpace('cut', 'one connection can be cut, and others do not notice', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    const victim = await world.dial(port)
    await say(victim, 'me')
    const id = lease.connections()[0]?.id ?? ''
    const other = await world.dial(port)
    await say(other, 'you')
    expect(lease.cut(id, 'cut')).toBe(true)
    expect(await ending(victim)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('cut')
    expect(await say(other, 'fine')).toBe('fine')
    expect(lease.cut(id, 'cut')).toBe(false)
  })

  promise('release', 'a released rule is gone at once, and twice is harmless', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    const client = await world.dial(port)
    await say(client, 'here')
    const signal = AbortSignal.timeout(5000)
    await lease.release({ signal })
    await lease.release({ signal })
    expect(await ending(connect({ port, host: world.host }))).toBe('ECONNREFUSED')
    if (!options.inKernel) {
      expect(await ending(client)).toBe('ECONNRESET')
      expect(lease.counters()).toMatchObject({ open: 0, closed: { shutdown: 1 } })
    }
    expect(world.record.left).toEqual([])
    await world.open(ruleOf(`${world.host}:${port}`, target.at))
  })

  promise('release-udp', 'a released rule takes no datagrams', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget((datagram, from, socket) =>
      socket.send(datagram, from.port, from.address),
    )
    const { lease, port } = await world.forward(target.at, { protocols: 'udp' })
    const client = await world.udp()
    await sendTo(client, 'one', port, world.host)
    await nextDatagram(client)
    await lease.release({ signal: AbortSignal.timeout(5000) })
    let heard = 0
    target.socket.on('message', () => heard++)
    await sendTo(client, 'two', port, world.host)
    await sleep(50)
    expect(heard).toBe(0)
    await world.open(ruleOf(`${world.host}:${port}/udp`, target.at))
  })

  promise('verify', 'what it says of itself is what is there', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    const signal = AbortSignal.timeout(5000)
    expect(lease.listening).toEqual([`${world.host}:${port}/tcp`])
    expect(lease.describe().text.en).toContain(String(port))
    expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
    await lease.release({ signal })
    expect(await lease.verify({ signal })).toMatchObject({ state: 'lost' })
  })

  for (const [id, makeOther, who] of [
    ['circle', make, 'two rules'],
    ['circle-mixed', makeSocketsEngine, 'two rules of two engines'],
  ] as const)
    userSpace(id, `${who} that lead to each other carry nobody round for long, and say so`, async () => {
      await using world = new World(make, options)
      await using other = new World(makeOther, options)
      const { host } = world
      const [one, two] = [await freePort(host), await freePort(host)]
      const leases = [
        await world.open(ruleOf(`${bracketed(host)}:${one}/tcp+udp`, `${bracketed(host)}:${two}`)),
        await other.open(ruleOf(`${bracketed(host)}:${two}/tcp+udp`, `${bracketed(host)}:${one}`)),
      ]
      const sum = (count: (counters: Counters) => number): number =>
        leases.reduce((all, lease) => all + count(lease.counters()), 0)
      expect(await ending(await world.dial(one))).toBe('ECONNRESET')
      await expect.poll(() => sum(({ closed }) => closed.loop ?? 0), { interval: 1 }).toBe(1)
      await expect.poll(() => sum(({ open }) => open), { interval: 1 }).toBe(0)
      expect(sum(({ opened }) => opened)).toBe(mostCrossings)
      await sendTo(await world.udp(), 'round', one, host)
      await expect.poll(() => sum(({ closed }) => closed.loop ?? 0), { interval: 1 }).toBe(2)
      expect(sum(({ opened }) => opened)).toBe(2 * mostCrossings)
    })

  userSpace('long-way', 'a rule that leads to another, and so on, is no circle', async () => {
    await using world = new World(make, options)
    let { at } = await world.target(echo)
    let port = 0
    const leases: EngineLease[] = []
    for (let hop = 0; hop < mostCrossings; hop++) {
      const rule = await world.forward(at)
      port = rule.port
      leases.push(rule.lease)
      at = `${bracketed(world.host)}:${port}`
    }
    const open = (): number => leases.reduce((sum, lease) => sum + lease.counters().open, 0)
    for (let client = 0; client < 20; client++) {
      const socket = await world.dial(port)
      expect(await say(socket, 'all the way')).toBe('all the way')
      socket.destroy()
      // A client that is given the port of a dial that still lives looks like it, and here is no crossing to spare.
      await expect.poll(open).toBe(0)
    }
  })

  promise('itself', 'a rule that is its own target is refused', async () => {
    await using world = new World(make, options)
    const rule = ruleOf(`${world.host}:34567`, `${world.host}:34567`)
    await expect(world.open(rule)).rejects.toMatchObject({ code: 'TARGET_LOOP' })
  })
}
