import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import {
  echoes,
  echoesUdp,
  hostAddress,
  KernelLab,
  lentBy,
  neverResolved,
  targetAddress,
} from './kernel-lab.ts'
import { flag, RawTcp } from './raw.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const
const dead = '4194303-1'

describeWith(needs, 'the kernel engine in a lab of three hosts', () => {
  beforeAll(built, 120_000)

  it('carries TCP to a target whose way back is not here, and leaves no trace', async () => {
    await using lab = new KernelLab()
    const { peers } = lab.serve(lab.target, 80)
    const engine = lab.engine()
    const lease = await lab.open(engine, 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    const socket = await lab.dial(lab.client, hostAddress, 8888)
    expect(await echoes(socket, 'ferry')).toBe('ferry')
    expect(peers).toEqual(['::ffff:10.2.0.1'])
    expect(lab.switches()).toMatchObject({ ip_forward: '0', 'conf/eth0/forwarding': '1' })
    socket.end()
    await once(socket, 'close')
    await lease.release()
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
    expect(lab.record.left).toEqual([])
  })

  it('leaves nothing where the switches may not be turned, as in a container', async () => {
    await using lab = new KernelLab()
    const engine = lab.engine(undefined, { readOnly: true })
    const opening = lab.open(engine, 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    await expect(opening).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
    expect(lab.record.left).toEqual([])
  })

  it('carries UDP, and keeps a session as long as the rule says', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const lease = await lab.open(lab.engine(), 'dns', {
      listen: '0.0.0.0:5353/udp',
      target: `${targetAddress}:53`,
      timeouts: { udp: '7m' },
    })
    expect(await echoesUdp(lab.client, hostAddress, 5353, 'who is naru')).toBe('who is naru')
    const [, seconds] = /udp +17 (\d+)/.exec(lab.host.run(['conntrack', '-L', '--dst-nat'])) ?? []
    expect(Number(seconds)).toBeGreaterThan(410)
    expect(lease.listening).toEqual(['0.0.0.0:5353/udp'])
  })

  it('keeps no port for a client that began and says no more', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    using raw = new RawTcp(lab.client)
    // Nobody has that address, so that nobody refuses the answer.
    raw.send({ from: '10.1.0.99', fromPort: 4000, to: hostAddress, toPort: 8888, flags: flag.syn })
    const flows = (): string => lab.host.run(['conntrack', '-L', '--dst-nat'])
    await expect.poll(flows).toContain('SYN_RECV')
    const [, seconds] = /tcp +6 (\d+) SYN_RECV/.exec(flows()) ?? []
    expect(Number(seconds)).toBeLessThanOrEqual(10)
  })

  it('carries clients on this machine, by its address and by 127.0.0.1', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    for (const address of [hostAddress, '127.0.0.1']) {
      expect(await echoes(await lab.dial(lab.host, address, 8888), 'from here')).toBe('from here')
    }
  })

  it('carries IPv6', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    await lab.open(lab.engine(), 'six', { listen: '[fd01::1]:8888', target: '[fd02::2]:80' })
    expect(await echoes(await lab.dial(lab.client, 'fd01::1', 8888), 'six')).toBe('six')
  })

  it('shows the target the client where the target is told to answer through here', async () => {
    await using lab = new KernelLab()
    const { peers } = lab.serve(lab.target, 80)
    lab.target.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
    await lab.open(lab.engine(), 'web', {
      listen: '0.0.0.0:8888',
      target: `${targetAddress}:80`,
      source: 'keep',
    })
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'ferry')).toBe('ferry')
    expect(peers).toEqual(['::ffff:10.1.0.2'])
  })

  it('hides a client that is on the target’s own link, whatever the rule says of the source', async () => {
    await using lab = new KernelLab()
    const { peers } = lab.serve(lab.target, 80)
    await lab.open(lab.engine(), 'web', {
      listen: '0.0.0.0:8888',
      target: `${targetAddress}:80`,
      source: 'keep',
    })
    const socket = await lab.dial(lab.target, '10.2.0.1', 8888)
    expect(await echoes(socket, 'ferry')).toBe('ferry')
    expect(peers).toEqual(['::ffff:10.2.0.1'])
  })

  it('carries a range to the same ports, to others and to one', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 9005, 'nine thousand and five')
    await lab.serveUdp(lab.target, 9005)
    const engine = lab.engine()
    await lab.open(engine, 'same', { listen: '0.0.0.0:9000-9100', target: `${targetAddress}:9000-9100` })
    await lab.open(engine, 'other', { listen: '0.0.0.0:7000-7100', target: `${targetAddress}:9000-9100` })
    await lab.open(engine, 'one', { listen: '0.0.0.0:6000-6100/tcp+udp', target: `${targetAddress}:9005` })
    for (const port of [9005, 7005, 6000, 6100]) {
      const socket = await lab.dial(lab.client, hostAddress, port)
      const [greeting] = (await once(socket, 'data')) as [Buffer]
      expect(greeting.toString()).toBe('nine thousand and five')
    }
    expect(await echoesUdp(lab.client, hostAddress, 6077, 'by UDP too')).toBe('by UDP too')
  })

  it('refuses clients by the longest prefix, and counts them', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    await lab.open(lab.engine(), 'web', {
      listen: '0.0.0.0:8888',
      target: `${targetAddress}:80`,
      allow: ['10.1.0.3', '10.9.0.0/16'],
      deny: ['10.1.0.0/24'],
    })
    await expect(lab.dial(lab.client, hostAddress, 8888)).rejects.toThrow('ECONNREFUSED')
    const socket = await lab.dial(lab.client, hostAddress, 8888, '10.1.0.3')
    expect(await echoes(socket, 'let in')).toBe('let in')
  })

  it('sends new connections to an edited target and leaves the old ones where they are', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80, 'old')
    lab.serve(lab.target, 81, 'new')
    const engine = lab.engine()
    const lease = await lab.open(engine, 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    const before = await lab.dial(lab.client, hostAddress, 8888)
    expect(String((await once(before, 'data'))[0])).toBe('old')
    const { parseRule } = await import('../../src/model/rule-file.ts')
    const edited = parseRule('web', { listen: '0.0.0.0:8888', target: `${targetAddress}:81` })
    expect(lease.update(edited)).toBe(true)
    expect((await lease.verify()).state).toBe('held')
    const after = await lab.dial(lab.client, hostAddress, 8888)
    expect(String((await once(after, 'data'))[0])).toBe('new')
    expect(await echoes(before, 'still here')).toBe('still here')
    expect(lease.update(parseRule('web', { listen: '0.0.0.0:9999', target: `${targetAddress}:81` }))).toBe(
      false,
    )
  })

  it('drops no connection when it is killed, and the next start takes over by replacing what stands', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const rule = { listen: '0.0.0.0:8888', target: `${targetAddress}:80` }
    const gone = { listen: '0.0.0.0:8889', target: `${targetAddress}:80` }
    const killed = await lab.process({ web: rule, gone })
    const socket = await lab.dial(lab.client, hostAddress, 8888)
    expect(await echoes(socket, 'ferry')).toBe('ferry')
    const left = await killed.kill()
    expect(await echoes(socket, 'nobody at home')).toBe('nobody at home')
    const meanwhile = await lab.dial(lab.client, hostAddress, 8888)
    expect(await echoes(meanwhile, 'nobody needed')).toBe('nobody needed')
    const next = lab.engine()
    const lease = await lab.open(next, 'web', rule)
    expect(await echoes(socket, 'somebody again')).toBe('somebody again')
    for (const effect of left) await next.undo(effect, { signal: AbortSignal.timeout(5000) })
    await expect(lab.dial(lab.client, hostAddress, 8889)).rejects.toThrow('ECONNREFUSED')
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'new one')).toBe('new one')
    await expect.poll(() => lease.connections().length, { timeout: 10_000 }).toBe(3)
    await lease.release()
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it('of a killed one nothing is reachable once the rule is over, whoever starts it again or not', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    // Over already, and the kernel ends what no Naru ends a moment later.
    const until = new Date(Date.now() - 5000).toISOString()
    const to = { target: `${targetAddress}:80`, until }
    const killed = await lab.process({
      port: { listen: '0.0.0.0:8001', ...to },
      at: { listen: `${hostAddress}:8002`, ...to },
      span: { ...to, listen: '0.0.0.0:8010-8011', target: `${targetAddress}:8010-8011` },
      into: { ...to, listen: `${hostAddress}:8020-8021`, allow: ['10.1.0.0/24'] },
      stays: { listen: '0.0.0.0:8003', target: `${targetAddress}:80` },
    })
    await killed.kill()
    const leading = (): string[] =>
      ['port4', 'at4', 'span4', 'into4'].flatMap(
        (map) => lab.host.run(['nft', 'list', 'map', 'inet', 'naru', map]).match(/naru:\S+/g) ?? [],
      )
    await expect.poll(() => leading().length, { timeout: 30_000 }).toBe(1)
    for (const port of [8001, 8002, 8010, 8020])
      await expect(lab.dial(lab.client, hostAddress, port)).rejects.toThrow('ECONNREFUSED')
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8003), 'for good')).toBe('for good')
    const next = lab.engine()
    const lease = await lab.open(next, 'port', { listen: '0.0.0.0:8001', target: `${targetAddress}:80` })
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8001), 'anew')).toBe('anew')
    await lease.release()
  })

  it('takes the year 9999 for never', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const rule = { listen: '0.0.0.0:8888', target: `${targetAddress}:80`, until: '9999-12-31T23:59:59Z' }
    const lease = await lab.open(lab.engine(), 'web', rule)
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'long')).toBe('long')
    await lease.release()
  })

  // Of the machine's kernel, as what a new network has it from.
  it.runIf(existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables'))(
    'carries nobody to a bridge that asks the filters, and gives up where one begins to',
    async () => {
      await using lab = new KernelLab()
      const guest = lab.lab.host('guest')
      lab.lab.cable(
        { host: guest, interface: 'eth0', addresses: ['10.7.0.2/24'] },
        { host: lab.host, interface: 'port', addresses: [] },
      )
      lab.host.ip('link', 'add', 'br0', 'type', 'bridge')
      lab.host.ip('address', 'add', '10.7.0.1/24', 'dev', 'br0')
      lab.host.ip('link', 'set', 'port', 'master', 'br0')
      lab.host.ip('link', 'set', 'br0', 'up')
      guest.ip('route', 'add', 'default', 'via', '10.7.0.1')
      lab.serve(guest, 80)
      const asks = (on: '0' | '1'): void => lab.host.sysctl('net/bridge/bridge-nf-call-iptables', on)
      const rule = { listen: '0.0.0.0:8888', target: '10.7.0.2:80' }
      const toItself = async (): Promise<string> =>
        echoes(await lab.dial(guest, hostAddress, 8888), 'to myself')
      const engine = lab.engine()
      asks('0')
      const lease = await lab.open(engine, 'web', rule)
      expect(await toItself()).toBe('to myself')
      asks('1')
      await expect
        .poll(() => lab.events.find(({ type }) => type === 'state'), { timeout: 15_000 })
        .toMatchObject({
          state: { state: 'unfit', why: { en: expect.stringMatching(/^br0 gives iptables/) } },
        })
      await lease.release()
      await expect(lab.open(engine, 'web', rule)).rejects.toMatchObject({ code: 'ENGINE_UNFIT' })
      lab.host.ip('link', 'set', 'port', 'type', 'bridge_slave', 'hairpin', 'on')
      await expect.poll(() => lab.open(engine, 'web', rule).then(() => 'open', String)).toBe('open')
      expect(await toItself()).toBe('to myself')
    },
  )

  it('tells the kernel when the rule is over, anew where that is edited', async () => {
    await using lab = new KernelLab()
    const rule = { listen: '0.0.0.0:8888', target: `${targetAddress}:80` }
    const inHours = (hours: number): object => ({
      ...rule,
      until: new Date(Date.now() + hours * 3_600_000).toISOString(),
    })
    const hoursLeft = (): number | null => {
      const [, seconds] =
        /"expires": (\d+)/.exec(lab.host.run(['nft', '-j', 'list', 'map', 'inet', 'naru', 'port4'])) ?? []
      return seconds === undefined ? null : Math.round(Number(seconds) / 3600)
    }
    const lease = await lab.open(lab.engine(), 'web', inHours(2))
    expect(hoursLeft()).toBe(2)
    const { parseRule } = await import('../../src/model/rule-file.ts')
    for (const [edited, left] of [
      [inHours(5), 5],
      [rule, null],
      [inHours(1), 1],
    ] as const) {
      expect(lease.update(parseRule('web', edited))).toBe(true)
      expect((await lease.verify()).state).toBe('held')
      expect(hoursLeft()).toBe(left)
    }
    await lease.renew({ signal: AbortSignal.timeout(5000) })
    expect(hoursLeft()).toBe(1)
    await lease.release()
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
  })

  it('undoes what a process that was killed left, from its journal alone', async () => {
    await using lab = new KernelLab()
    const killed = await lab.process({ web: { listen: '0.0.0.0:8888', target: `${targetAddress}:80` } })
    expect(lab.switches()).toMatchObject({ ip_forward: '0', 'conf/eth0/forwarding': '1' })
    const next = lab.engine()
    for (const effect of await killed.kill()) await next.undo(effect, { signal: AbortSignal.timeout(5000) })
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it.each(['is resolved', 'is written down'])(
    'a rule that is ended while it %s leaves nothing',
    async (when) => {
      await using lab = new KernelLab()
      const engine = lab.engine()
      const [begun, answer] = [told(), told()]
      const resolve = async (): Promise<{ addresses: string[]; ttlMs: number }> => {
        if (when === 'is resolved') begun.tell()
        await answer.heard
        return { addresses: [targetAddress], ttlMs: 60_000 }
      }
      const intend = lab.record.intend.bind(lab.record)
      lab.record.intend = async (effect) => {
        if (when === 'is written down') {
          begun.tell()
          await answer.heard
        }
        return intend(effect)
      }
      const opening = lab.open(engine, 'web', { listen: '0.0.0.0:8888', target: 'app.example:80' }, resolve)
      opening.catch(() => {})
      await begun.heard
      const closing = engine.close()
      answer.tell()
      await closing
      await expect(opening).rejects.toMatchObject({ code: 'ABORTED' })
      expect(lab.record.left).toEqual([])
      expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
      expect(lab.switches()).toEqual(lab.before)
    },
  )

  it('undoes what a killed one left from the journal alone, twice', async () => {
    await using lab = new KernelLab()
    const killed = lab.engine(dead)
    await lab.open(killed, 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    killed.abandon()
    // What was under way as it was killed is over.
    await killed.close()
    const next = lab.engine()
    for (const effect of [...lab.record.left, ...lab.record.left])
      await next.undo(effect, { signal: AbortSignal.timeout(5000) })
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it('lives beside another Naru, and neither takes what the other has', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const one = lab.engine()
    const other = lab.engine(`${process.ppid}-${startOf(process.ppid)}`)
    const first = await lab.open(one, 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    await expect(
      lab.open(other, 'mine', { listen: '0.0.0.0:8888', target: `${targetAddress}:81` }),
    ).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
    await lab.open(other, 'mine', { listen: '0.0.0.0:8889', target: `${targetAddress}:80` })
    await first.release()
    await expect(lab.dial(lab.client, hostAddress, 8888)).rejects.toThrow('ECONNREFUSED')
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8889), 'on')).toBe('on')
    await other.close()
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
  })

  it('passes what it carries to a successor while it lives itself, or takes it back', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const rule = { listen: '0.0.0.0:8888', target: `${targetAddress}:80` }
    const old = lab.engine()
    const held = await lab.open(old, 'web', rule)
    const effects = lab.record.left
    const socket = await lab.dial(lab.client, hostAddress, 8888)
    const successor = `${process.ppid}-${startOf(process.ppid)}`

    // A successor that comes to nothing.
    const failing = lab.engine(successor)
    failing.succeed?.(process.pid)
    await lab.open(failing, 'web', rule, neverResolved, lentBy(held))
    failing.abandon()
    old.succeed?.(process.ppid)
    await held.renew({ signal: AbortSignal.timeout(5000) })
    expect(await held.verify()).toMatchObject({ state: 'held' })
    expect(await echoes(socket, 'back again')).toBe('back again')
    expect(lab.host.run(['nft', 'list', 'ruleset'])).not.toContain(successor)

    // And one that stays.
    const next = lab.engine(successor)
    next.succeed?.(process.pid)
    const taken = await lab.open(next, 'web', rule, neverResolved, lentBy(held))
    old.abandon()
    expect(await echoes(socket, 'went on')).toBe('went on')
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'new')).toBe('new')
    for (const effect of effects) await next.undo(effect, { signal: AbortSignal.timeout(5000) })
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'newer')).toBe('newer')
    await taken.release()
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it('says who has a port that a program already listens on', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.host, 8888)
    await expect(
      lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` }),
    ).rejects.toMatchObject({
      code: 'LISTEN_IN_USE',
      params: { owner: { en: 'this very process, for another rule' } },
    })
    await expect(
      lab.open(lab.engine(), 'web', { listen: '10.7.7.7:8888', target: `${targetAddress}:80` }),
    ).rejects.toMatchObject({ code: 'LISTEN_NO_ADDRESS' })
  })

  it('takes a port at once that a program has let go of', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const engine = lab.engine()
    const taken = lab.serve(lab.host, 8888)
    const rule = { listen: '0.0.0.0:8888', target: `${targetAddress}:80` }
    await expect(lab.open(engine, 'web', rule)).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
    taken.server.close()
    await once(taken.server, 'close')
    await lab.open(engine, 'web', rule)
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'ours')).toBe('ours')
  })

  it('opens a rule whole while the last one leaves', { timeout: 60_000 }, async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const engine = lab.engine()
    const open = (port: number) =>
      lab.open(engine, `at-${port}`, { listen: `0.0.0.0:${port}`, target: `${targetAddress}:80` })
    let last = await open(9000)
    for (let at = 1; at <= 30; at++) {
      const leaving = last.release()
      // Each time 3 ms further into it: the look at conntrack, the table that is read, the switches, the guard.
      await sleep(at * 3)
      last = await open(9000 + at)
      await leaving
      expect(lab.switches()).toMatchObject({ ip_forward: '0', 'conf/eth0/forwarding': '1' })
      expect(await echoes(await lab.dial(lab.client, hostAddress, 9000 + at), 'ferry')).toBe('ferry')
    }
    await engine.close()
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it('opens a rule while somebody flushes', { timeout: 60_000 }, async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const engine = lab.engine()
    for (let at = 0; at < 15; at++) {
      // Each time 3 ms further into it: the table is read, made, filled.
      const flushed = sleep(at * 3).then(() => lab.host.run(['nft', 'flush', 'ruleset']))
      const port = 9000 + at
      const opened = lab.open(engine, `at-${port}`, {
        listen: `0.0.0.0:${port}`,
        target: `${targetAddress}:80`,
      })
      const [lease] = await Promise.all([opened, flushed])
      // What is flushed away once it is open is put back as soon as the kernel tells of it.
      const carried = async (): Promise<string> =>
        echoes(await lab.dial(lab.client, hostAddress, port), 'ferry')
      await expect.poll(carried, { timeout: 8000 }).toBe('ferry')
      await lease.release()
    }
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    expect(lab.switches()).toEqual(lab.before)
  })

  it('tells the truth about connections: bytes, a clean end, a refusal, a cut', async () => {
    await using lab = new KernelLab()
    const { server } = lab.serve(lab.target, 80)
    const engine = lab.engine()
    const lease = await lab.open(engine, 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    const clean = await lab.dial(lab.client, hostAddress, 8888)
    await echoes(clean, 'x'.repeat(1000))
    await expect.poll(() => lease.connections().length, { timeout: 10_000 }).toBe(1)
    clean.end()
    await expect.poll(() => lease.counters().closed, { timeout: 10_000 }).toEqual({ finished: 1 })
    expect(lease.counters().bytesToTarget).toBeGreaterThan(1000)
    const cut = await lab.dial(lab.client, hostAddress, 8888)
    await expect.poll(() => lease.connections().length, { timeout: 10_000 }).toBe(1)
    const reset = once(cut, 'error')
    expect(lease.cut(lease.connections()[0]?.id ?? '', 'cut')).toBe(true)
    await expect.poll(() => (cut.write('anybody?'), cut.destroyed), { timeout: 5000 }).toBe(true)
    expect(String((await reset)[0])).toContain('ECONNRESET')
    server.close()
    lab.target.run(['true'])
    expect(lab.events.filter(({ type }) => type === 'opened')).toHaveLength(2)
  })

  it.each(['client', 'target'] as const)(
    'a connection that the %s has ended lives as long the other way as one that nobody has',
    async (side) => {
      await using lab = new KernelLab()
      const { server, sockets } = lab.serve(lab.target, 80)
      await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
      const client = await lab.dial(lab.client, hostAddress, 8888)
      expect(await echoes(client, 'hello')).toBe('hello')
      const served = sockets[0] as Socket
      client.allowHalfOpen = true
      served.unpipe().resume()
      const ends = side === 'client' ? client : served
      ends.end()
      // conntrack alone would have forgotten it after 60 s (CLOSE_WAIT) or 120 s (FIN_WAIT).
      const patience = (): number => {
        const told = lab.host.run(['conntrack', '-L', '-p', 'tcp', '--dst-nat'])
        return Number(/^tcp +6 (\d+) (?:CLOSE|FIN)_WAIT/m.exec(told)?.[1] ?? 0)
      }
      await expect.poll(patience, { timeout: 5000 }).toBeGreaterThan(86_400)
      const other = side === 'client' ? served : client
      const heard = once(ends, 'data')
      other.write('and the answer')
      expect(String((await heard)[0])).toBe('and the answer')
      server.close()
    },
  )

  it('drains: no new connections, those there are finish, the rest is cut', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    const lease = await lab.open(lab.engine(), 'web', {
      listen: '0.0.0.0:8888',
      target: `${targetAddress}:80`,
    })
    const socket = await lab.dial(lab.client, hostAddress, 8888)
    const drained = lease.drain({ drainMs: 1500, reason: 'drained', signal: AbortSignal.timeout(10_000) })
    await expect
      .poll(() =>
        lab.dial(lab.client, hostAddress, 8888).then(
          () => 'in',
          () => 'out',
        ),
      )
      .toBe('out')
    expect(await echoes(socket, 'finishing')).toBe('finishing')
    await drained
    expect(Object.keys(lease.counters().closed)).toEqual(['drained'])
    await expect.poll(() => (socket.write('late'), socket.destroyed), { timeout: 5000 }).toBe(true)
  })

  it('follows a name that moves; the connections there are stay', async () => {
    await using lab = new KernelLab()
    const { peers } = lab.serve(lab.target, 80)
    const addresses = ['10.2.0.2']
    const resolve = (): Promise<{ addresses: string[]; ttlMs: number }> =>
      Promise.resolve({ addresses: [...addresses], ttlMs: 1000 })
    const lease = await lab.open(
      lab.engine(),
      'web',
      { listen: '0.0.0.0:8888', target: 'app.example:80' },
      resolve,
    )
    const before = await lab.dial(lab.client, hostAddress, 8888)
    addresses[0] = '10.2.0.3'
    await expect
      .poll(() => (lease.describe().data as { address: string }).address, { timeout: 5000 })
      .toBe('10.2.0.3')
    await lab.dial(lab.client, hostAddress, 8888)
    expect(await echoes(before, 'stays')).toBe('stays')
    expect(peers).toHaveLength(2)
  })

  it('a UDP client that goes on sending follows a name that moves, there and back', async () => {
    await using lab = new KernelLab()
    await lab.serveUdp(lab.target, 53)
    const addresses = ['10.2.0.2']
    const resolve = (): Promise<{ addresses: string[]; ttlMs: number }> =>
      Promise.resolve({ addresses: [...addresses], ttlMs: 1000 })
    const rule = { listen: '0.0.0.0:5353/udp', target: 'app.example:53' }
    const lease = await lab.open(lab.engine(), 'web', rule, resolve)
    const client = createSocket('udp4')
    {
      using _inside = enter(lab.client)
      client.bind(0)
      await once(client, 'listening')
    }
    const targets = (): string[] =>
      [...lab.host.run(['conntrack', '-L', '--dst-nat']).matchAll(/ src=(10\.2\.0\.\d)/g)].map(
        ([, address]) => address as string,
      )
    const isAt = (address: string): Promise<void> =>
      expect
        .poll(
          () => {
            client.send('hello', 5353, hostAddress)
            return targets()
          },
          { timeout: 8000, interval: 200 },
        )
        .toEqual([address])
    try {
      for (const address of ['10.2.0.2', '10.2.0.3', '10.2.0.2']) {
        addresses[0] = address
        await isAt(address)
      }
      expect(lease.counters().closed).toEqual({ 'target-lost': 2 })
    } finally {
      client.close()
    }
  })

  it('forwards nothing but its rules where the machine forwarded nothing before', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    lab.client.ip('route', 'add', '10.2.0.0/24', 'via', hostAddress)
    lab.target.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
    await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    await expect(lab.dial(lab.client, targetAddress, 80)).rejects.toThrow()
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'only this')).toBe('only this')
  })

  it.each([
    ['nftables', ['nft', 'add table inet wall; ' + nftForwardDrop], 'inet wall forward'],
    ['iptables over nftables', ['iptables-nft', '-P', 'FORWARD', 'DROP'], 'ip filter FORWARD'],
    ['legacy iptables', ['iptables-legacy', '-P', 'FORWARD', 'DROP'], 'iptables-legacy FORWARD'],
    ['a routing rule', ['ip', 'rule', 'add', 'fwmark', '7', 'lookup', '7'], 'ip rule 32765'],
  ] as const)('is refused beside %s of somebody else, which stays as it is', async (_, argv, who) => {
    await using lab = new KernelLab()
    lab.host.run(argv)
    const shown = (): string =>
      [
        ['nft', 'list', 'ruleset'],
        ['iptables-legacy-save', '-t', 'filter'],
        ['ip', 'rule'],
      ]
        .map((words) => lab.host.run(words).replaceAll(/\[\d+:\d+\]|^#.*/gm, ''))
        .join('')
    const before = shown()
    const opening = lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    await expect(opening).rejects.toMatchObject({
      code: 'ENGINE_UNFIT',
      message: expect.stringContaining(`(${who}`) as string,
    })
    expect(shown()).toBe(before)
    expect(lab.record.left).toEqual([])
  })

  it('tells that somebody filters by now, whose word counts at once', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'ferry')).toBe('ferry')
    lab.host.run(['nft', 'add table inet wall; ' + nftForwardDrop])
    await expect(lab.dial(lab.client, hostAddress, 8888, undefined, 500)).rejects.toThrow()
    await expect
      .poll(() => lab.events.find(({ type }) => type === 'state'), { timeout: 10_000 })
      .toMatchObject({ state: { state: 'unfit', why: { en: expect.stringContaining('inet wall forward') } } })
  })

  it('leaves a target that becomes unfit to another engine, and sends nobody there', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    lab.serve(lab.host, 81, 'only for this machine')
    let addresses = [targetAddress]
    const rule = { listen: '0.0.0.0:8888', target: 'app.example:80' }
    const resolve = (): Promise<{ addresses: string[]; ttlMs: number }> =>
      Promise.resolve({ addresses, ttlMs: 1000 })
    const lease = await lab.open(lab.engine(), 'web', rule, resolve)
    addresses = ['127.0.0.1']
    await expect
      .poll(() => lab.events.find(({ type }) => type === 'state'), { timeout: 10_000 })
      .toMatchObject({ state: { state: 'unfit', why: { en: expect.stringContaining('loopback') } } })
    expect((lease.describe().data as { address: string }).address).toBe(targetAddress)
  })

  it('takes the address that this machine reaches, of a container on several networks', async () => {
    await using lab = new KernelLab()
    lab.serve(lab.target, 80)
    lab.host.ip('route', 'add', 'default', 'via', '10.1.0.2')
    const resolve = (): Promise<{ addresses: string[]; ttlMs: number }> =>
      Promise.resolve({ addresses: ['10.99.0.7', targetAddress], ttlMs: 60_000 })
    await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: 'docker:web:80' }, resolve)
    expect(await echoes(await lab.dial(lab.client, hostAddress, 8888), 'ferry')).toBe('ferry')
  })

  it('leaves traffic to other machines alone that passes through here to the same port', async () => {
    await using lab = new KernelLab()
    lab.host.sysctl('net/ipv4/ip_forward', '1')
    lab.serve(lab.target, 8888, 'the target’s own')
    lab.client.ip('route', 'add', '10.2.0.0/24', 'via', hostAddress)
    lab.target.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
    await lab.open(lab.engine(), 'web', { listen: '0.0.0.0:8888', target: `${targetAddress}:80` })
    const socket = await lab.dial(lab.client, targetAddress, 8888)
    expect(String((await once(socket, 'data'))[0])).toBe('the target’s own')
  })
})

const nftForwardDrop =
  'add chain inet wall forward { type filter hook forward priority 0; policy drop; }; ' +
  'add rule inet wall forward ct state established,related accept'

function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

/** A word that is waited for. */
function told(): { readonly heard: Promise<void>; readonly tell: () => void } {
  let tell = (): void => {}
  const heard = new Promise<void>((resolve) => (tell = resolve))
  return { heard, tell: () => tell() }
}
