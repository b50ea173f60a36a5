import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { echoes, hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'
import type { LabHost } from './namespaces.ts'
import { flag, RawTcp, sendRawDatagram } from './raw.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack', 'setpriv'] } as const
const rule = { listen: '0.0.0.0:8888', target: `${targetAddress}:80` }
const stranger = '10.1.0.2'

/** A lab whose client knows the way to the target through a host that forwards nothing. */
class Guarded extends KernelLab {
  constructor() {
    super()
    this.client.ip('route', 'add', '10.2.0.0/24', 'via', hostAddress)
    this.client.ip('route', 'add', 'fd02::/64', 'via', 'fd01::1')
    this.target.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
    this.target.ip('route', 'add', 'fd01::/64', 'via', 'fd02::1')
    const chain =
      'chain in { type filter hook prerouting priority -300; ip saddr 10.1.0.0/16 counter; ip6 saddr fd01::/64 counter; };'
    this.target.run(['nft', '-f', '-'], { input: `table inet seen { ${chain} }` })
    this.serve(this.target, 80)
  }

  /** Packets that came to the target with a stranger's own address: nothing of ours does. */
  crossed(): number {
    const listed = this.target.run(['nft', 'list', 'table', 'inet', 'seen'])
    return [...listed.matchAll(/packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0)
  }

  async carries(): Promise<void> {
    expect(await echoes(await this.dial(this.client, hostAddress, 8888), 'ferry')).toBe('ferry')
  }

  /** Returns once a client is carried. */
  async carriesAgain(): Promise<void> {
    const carried = (): Promise<string> =>
      this.carries().then(
        () => 'in',
        () => 'out',
      )
    await expect.poll(carried, { timeout: 20_000 }).toBe('in')
  }
}

/** A process that lives, and is not this one. */
function anotherOwner(): string {
  const stat = readFileSync(`/proc/${process.ppid}/stat`, 'latin1')
  return `${process.ppid}-${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
}

/** A stranger who sends to the target as fast as he can, with gaps of no length, until disposed. */
async function flood(from: LabHost, to: string): Promise<AsyncDisposable & { sent: () => number }> {
  const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
  {
    using _inside = enter(from)
    socket.bind(0)
    await once(socket, 'listening')
  }
  socket.on('error', () => {})
  const over = new AbortController()
  let sent = 0
  const ended = (async (): Promise<void> => {
    while (!over.signal.aborted) {
      for (let burst = 0; burst < 20; burst++) socket.send('x', 9, to, () => sent++)
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  return {
    sent: () => sent,
    async [Symbol.asyncDispose]() {
      over.abort()
      await ended
      socket.close()
    },
  }
}

/** Returns once so many more datagrams of the stranger's were on their way. */
const later = (stream: { sent: () => number }, more = 2000): Promise<void> => {
  const until = stream.sent() + more
  return expect.poll(() => stream.sent() >= until, { timeout: 10_000, interval: 5 }).toBe(true)
}

/** A socket of `host`'s, and what it hears. */
async function ear(
  host: LabHost,
  address: string,
  port: number,
): Promise<AsyncDisposable & { socket: Socket; heard: string[] }> {
  const socket = createSocket('udp4')
  const heard: string[] = []
  {
    using _inside = enter(host)
    socket.on('message', (bytes, { address: from }) => heard.push(`${bytes.toString()} from ${from}`))
    socket.bind(port, address)
    await once(socket, 'listening')
  }
  return {
    socket,
    heard,
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

describeWith(needs, 'a machine that forwarded nothing, with a rule of the kernel engine', () => {
  beforeAll(built, 120_000)

  it('takes nothing off the wire that says it is of 127.0.0.0/8, by a rule or not, flushed or not', async () => {
    await using lab = new Guarded()
    await using everywhere = await ear(lab.host, '0.0.0.0', 5300)
    await using local = await ear(lab.host, '127.0.0.1', 5301)
    await using target = await ear(lab.target, targetAddress, 5302)
    await using client = await ear(lab.client, stranger, 5303)
    lab.host.sysctl('net/ipv4/conf/all/rp_filter', '0')
    lab.host.sysctl('net/ipv4/conf/eth0/rp_filter', '0')
    const allow = ['127.0.0.0/8', '10.1.0.0/24']
    await lab.open(lab.engine(), 'dns', {
      listen: '0.0.0.0:5302/udp',
      target: `${targetAddress}:5302`,
      allow,
    })
    const lie = (to: string, toPort: number, from: string): void =>
      sendRawDatagram(lab.client, { from, fromPort: 53, to, toPort, bytes: 'lie', via: hostAddress })
    const lies = (): void => {
      for (const from of ['127.0.0.1', '127.0.0.53', '127.9.9.9'])
        for (const to of [hostAddress, '127.0.0.1'])
          for (const port of [5300, 5301, 5302]) lie(to, port, from)
    }
    // What a local client asked of 127.0.0.53 is answered by nobody else.
    local.socket.send('question', 53, '127.0.0.53')
    lies()
    client.socket.send('truth', 5302, hostAddress)
    await expect.poll(() => target.heard).toEqual(['truth from 10.2.0.1'])
    lab.host.run(['nft', 'flush', 'ruleset'])
    lies()
    client.socket.send('truth', 5300, hostAddress)
    await expect.poll(() => everywhere.heard).toEqual([`truth from ${stranger}`])
    expect(local.heard).toEqual([])
    expect(target.heard).toEqual(['truth from 10.2.0.1'])
  })

  it.each([
    ['a flush of the ruleset', 'flush ruleset'],
    [
      'a restart of nftables',
      'flush ruleset\ntable inet filter { chain input { type filter hook input priority 0; }; }',
    ],
    ['the loss of the table', 'delete table inet naru'],
  ])('forwards nothing else at %s, and carries on after it', { timeout: 60_000 }, async (_, input) => {
    await using lab = new Guarded()
    const lease = await lab.open(lab.engine(), 'web', rule)
    const before = await lab.dial(lab.client, hostAddress, 8888)
    {
      await using four = await flood(lab.client, targetAddress)
      for (let times = 0; times < 3; times++) {
        await later(four)
        lab.host.run(['nft', '-f', '-'], { input })
        await later(four)
        await lab.carriesAgain()
      }
    }
    expect(lab.crossed()).toBe(0)
    expect(await echoes(before, 'still here')).toBe('still here')
    lab.host.run(['nft', 'flush', 'ruleset'])
    await lease.release()
    expect(lab.switches()).toEqual(lab.before)
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
  })

  it('stays closed where one of two Narus opens just after a flush, and the other is killed', async () => {
    await using lab = new Guarded()
    const other = await lab.process({ other: { listen: '0.0.0.0:8889', target: `${targetAddress}:80` } })
    await using stream = await flood(lab.client, targetAddress)
    // So it cannot make the table again before the second one looks what was switched on.
    other.freeze()
    lab.host.run(['nft', 'flush', 'ruleset'])
    const engine = lab.engine()
    const lease = await lab.open(engine, 'web', rule)
    const left = await other.kill()
    await later(stream)
    expect(lab.crossed()).toBe(0)
    await lab.carries()
    for (const effect of left) await engine.undo(effect, { signal: AbortSignal.timeout(20_000) })
    await lease.release()
    await later(stream)
    expect(lab.crossed()).toBe(0)
    expect(lab.switches()).toEqual(lab.before)
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
  })

  it(
    'keeps closed what another Naru switched on later, once that one has ended',
    { timeout: 60_000 },
    async () => {
      await using lab = new Guarded()
      const lease = await lab.open(lab.engine(), 'web', rule)
      const other = lab.engine(anotherOwner())
      await lab.open(other, 'six', { listen: '[fd01::1]:8888', target: '[fd02::2]:80' })
      const closed = (): number =>
        lab.host.run(['nft', 'list', 'ruleset']).match(/{ ipv4, ipv6 }/g)?.length ?? 0
      // Both guards and the table.
      await expect.poll(closed, { timeout: 20_000 }).toBe(3)
      await other.close()
      await using stream = await flood(lab.client, 'fd02::2')
      lab.host.run(['nft', 'flush', 'ruleset'])
      await lab.carriesAgain()
      await later(stream)
      expect(lab.crossed()).toBe(0)
      await lease.release()
      await later(stream)
      expect(lab.crossed()).toBe(0)
      expect(lab.switches()).toEqual(lab.before)
    },
  )

  it('lets what the test sends through where the machine does forward', async () => {
    await using lab = new Guarded()
    lab.host.sysctl('net/ipv4/ip_forward', '1')
    await lab.open(lab.engine(), 'web', rule)
    await using stream = await flood(lab.client, targetAddress)
    await later(stream, 200)
    expect(lab.crossed()).toBeGreaterThan(0)
  })

  it('keeps IPv6 as closed, and the values of every interface', { timeout: 60_000 }, async () => {
    await using lab = new Guarded()
    lab.host.sysctl('net/ipv6/conf/eth1/forwarding', '1')
    const before = lab.switches()
    const six = { listen: '[fd01::1]:8888', target: '[fd02::2]:80' }
    const lease = await lab.open(lab.engine(), 'six', six)
    {
      await using stream = await flood(lab.client, 'fd02::2')
      await later(stream)
      lab.host.run(['nft', 'flush', 'ruleset'])
      await later(stream)
    }
    expect(lab.crossed()).toBe(0)
    await lease.release()
    expect(lab.switches()).toEqual(before)
  })

  it(
    'turns everything off at once where neither guard stands, and on again behind both',
    { timeout: 60_000 },
    async () => {
      await using lab = new Guarded()
      const lease = await lab.open(lab.engine(), 'web', rule)
      for (const pid of lab.host.pids())
        if (readFileSync(`/proc/${pid}/cmdline`, 'latin1') === 'nft\0-i\0') process.kill(pid, 'SIGKILL')
      lab.host.run(['nft', 'flush', 'ruleset'])
      const guards = (): number => lab.host.run(['nft', 'list', 'tables']).match(/naru_guard/g)?.length ?? 0
      await expect.poll(() => lab.carries().then(guards, () => 0), { timeout: 20_000 }).toBe(1)
      expect(lab.switches()).toMatchObject({ 'conf/eth0/forwarding': '1' })
      await lease.release()
      expect(lab.switches()).toEqual(lab.before)
    },
  )

  it('lets no segment cross that belongs to no connection: scans by SYN/ACK, FIN, XMAS, NULL', async () => {
    await using lab = new Guarded()
    await lab.open(lab.engine(), 'web', rule)
    using raw = new RawTcp(lab.client)
    const { fin, syn, rst, push, ack, urgent } = flag
    for (const flags of [syn, ack, syn | ack, fin, fin | push | urgent, 0, rst])
      for (const toPort of [80, 81])
        raw.send({ from: stranger, fromPort: 5000 + flags, to: targetAddress, toPort, flags })
    await lab.carries()
    expect(lab.crossed()).toBe(0)
    expect(raw.received().filter(({ from }) => from === targetAddress)).toEqual([])
  })

  it(
    'keeps out those behind an interface that comes up later, and carries their connections to the rule',
    { timeout: 30_000 },
    async () => {
      await using lab = new Guarded()
      await lab.open(lab.engine(), 'web', rule)
      const guest = lab.lab.host('guest')
      lab.lab.cable(
        { host: guest, interface: 'eth0', addresses: ['10.1.9.2/24'] },
        { host: lab.host, interface: 'wg0', addresses: ['10.1.9.1/24'] },
      )
      guest.ip('route', 'add', 'default', 'via', '10.1.9.1')
      lab.target.ip('route', 'add', '10.1.9.0/24', 'via', '10.2.0.1')
      await using stream = await flood(guest, targetAddress)
      await expect
        .poll(
          () =>
            lab.dial(guest, '10.1.9.1', 8888).then(
              (socket) => echoes(socket, 'later'),
              () => 'out',
            ),
          { timeout: 10_000 },
        )
        .toBe('later')
      await later(stream)
      expect(lab.crossed()).toBe(0)
    },
  )

  it('leaves the machine to whoever switches forwarding on meanwhile, and does not switch it off at the end', async () => {
    await using lab = new Guarded()
    const lease = await lab.open(lab.engine(), 'web', rule)
    lab.host.sysctl('net/ipv4/ip_forward', '1')
    await using _stream = await flood(lab.client, targetAddress)
    await expect.poll(() => lab.crossed(), { timeout: 10_000 }).toBeGreaterThan(0)
    await lease.release()
    expect(lab.switches()).toMatchObject({ ip_forward: '1', 'conf/eth0/forwarding': '1' })
  })

  it('keeps the addresses of loopback from others, also at a flush', async () => {
    await using lab = new Guarded()
    lab.serve(lab.host, 9999, 'for this machine alone')
    lab.client.ip('address', 'del', '127.0.0.1/8', 'dev', 'lo')
    lab.client.ip('route', 'add', '127.0.0.0/8', 'via', hostAddress)
    lab.client.sysctl('net/ipv4/conf/all/route_localnet', '1')
    await lab.open(lab.engine(), 'web', rule)
    lab.host.run(['nft', 'flush', 'ruleset'])
    await expect(lab.dial(lab.client, '127.0.0.1', 9999, stranger)).rejects.toThrow()
  })

  it('is as it was after any number of renewals', async () => {
    await using lab = new Guarded()
    const lease = await lab.open(lab.engine(), 'web', rule)
    for (let times = 0; times < 3; times++) await lease.renew({ signal: AbortSignal.timeout(5000) })
    await lab.carries()
    await lease.release()
    expect(lab.switches()).toEqual(lab.before)
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
  })

  it(
    'stays closed when it is killed, and is as it was after the next start and a flush',
    { timeout: 60_000 },
    async () => {
      await using lab = new Guarded()
      const killed = await lab.process({ web: rule })
      const stream = await flood(lab.client, targetAddress)
      await later(stream)
      const left = await killed.kill()
      await later(stream)
      expect(lab.crossed()).toBe(0)
      const next = lab.engine()
      const lease = await lab.open(next, 'web', rule)
      lab.host.run(['nft', 'flush', 'ruleset'])
      for (const effect of left) await next.undo(effect, { signal: AbortSignal.timeout(5000) })
      await later(stream)
      expect(lab.crossed()).toBe(0)
      await stream[Symbol.asyncDispose]()
      await lab.carriesAgain()
      await lease.release()
      expect(lab.switches()).toEqual(lab.before)
      expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
    },
  )

  it('leaves no process behind when it is killed', async () => {
    await using lab = new Guarded()
    const killed = await lab.process({ web: rule })
    expect(lab.host.run(['nft', 'list', 'tables'])).toContain('naru_guard')
    await killed.kill()
    await expect
      .poll(() => lab.host.run(['nft', 'list', 'tables']), { timeout: 5000 })
      .toBe('table inet naru\n')
  })

  it('ends no connection for a stray segment of either end', async () => {
    await using lab = new Guarded()
    await lab.open(lab.engine(), 'web', rule)
    using atTarget = new RawTcp(lab.target)
    using atClient = new RawTcp(lab.client)
    const socket = await lab.dial(lab.client, hostAddress, 8888)
    expect(await echoes(socket, 'ferry')).toBe('ferry')
    for (const [raw, port] of [
      [atTarget, 80],
      [atClient, socket.localPort],
    ] as const) {
      const seen = raw
        .received()
        .filter((one) => one.toPort === port && (one.bytes?.length ?? 0) > 0)
        .at(-1)
      expect(seen).toBeDefined()
      if (!seen) continue
      const mine = { from: seen.to, fromPort: seen.toPort, to: seen.from, toPort: seen.fromPort }
      for (const far of [10 ** 8, 2 * 10 ** 8, -(10 ** 8)])
        raw.send({
          ...mine,
          flags: flag.ack | flag.push,
          sequence: (seen.acknowledged ?? 0) + far,
          acknowledged: (seen.sequence ?? 0) + 5,
          bytes: 'zz',
        })
    }
    for (const word of ['still', 'here']) expect(await echoes(socket, word)).toBe(word)
  })

  it(
    'answers a UDP client that sent before the rule was there, and after the rule was off for a while',
    { timeout: 30_000 },
    async () => {
      await using lab = new Guarded()
      await lab.serveUdp(lab.target, 53)
      // Another rule: conntrack follows connections from then on, as it does behind every stateful firewall.
      await lab.open(lab.engine(), 'web', rule)
      const client = createSocket('udp4')
      {
        using _inside = enter(lab.client)
        client.bind(5555)
        await once(client, 'listening')
      }
      let answers = 0
      client.on('message', () => answers++)
      const sending = setInterval(() => client.send('q', 5353, hostAddress), 20)
      try {
        const untouched = (): string => lab.host.run(['conntrack', '-L', '-p', 'udp', '--dport', '5353'])
        await expect.poll(untouched, { timeout: 5000 }).toContain('src=10.1.0.1 dst=10.1.0.2')
        for (let times = 0; times < 2; times++) {
          const lease = await lab.open(lab.engine(), 'dns', {
            listen: '0.0.0.0:5353/udp',
            target: `${targetAddress}:53`,
          })
          const had = answers
          await expect.poll(() => answers > had, { timeout: 5000 }).toBe(true)
          await lease.release()
          await expect.poll(untouched, { timeout: 5000 }).toContain('src=10.1.0.1 dst=10.1.0.2')
        }
      } finally {
        clearInterval(sending)
        client.close()
      }
    },
  )

  it(
    'counts its own connections alone, and none of a rule that was there before',
    { timeout: 30_000 },
    async () => {
      await using lab = new Guarded()
      const engine = lab.engine()
      const first = await lab.open(engine, 'web', rule)
      for (let times = 0; times < 3; times++) {
        const socket = await lab.dial(lab.client, hostAddress, 8888)
        await echoes(socket, 'ferry')
        socket.end()
        await once(socket, 'close')
      }
      await first.release()
      expect(lab.host.run(['conntrack', '-L', '--dst-nat'])).toContain('TIME_WAIT')
      const second = await lab.open(engine, 'web', rule)
      const socket = await lab.dial(lab.client, hostAddress, 8888)
      await echoes(socket, 'ferry')
      socket.end()
      await expect.poll(() => second.counters().closed, { timeout: 10_000 }).toEqual({ finished: 1 })
      expect(second.counters()).toMatchObject({ opened: 1, open: 0 })
    },
  )
})
