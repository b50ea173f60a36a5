/** Whose a rule's port is while the kernel carries it, and while it goes from one engine to another. */
import { beforeAll, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { Ports } from '../../src/engines/kernel/held-ports.ts'
import { makeSocketsEngine } from '../../src/engines/sockets/engine.ts'
import { parseListen, type InetListen } from '../../src/model/listen.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'
import { hostAddress, KernelLab, neverResolved, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack', 'setpriv'] } as const

/** Another user of `lab.host` tries to serve `port` by TCP and by UDP; what the system says to each. */
function whatNobodyGets(lab: KernelLab, port: number): string[] {
  const tries = `
    const server = require('node:net').createServer()
    server.on('error', ({ code }) => console.log(code)).listen(${port}, () => { console.log('listens'); server.close() })
    const socket = require('node:dgram').createSocket({ type: 'udp4', reuseAddr: true })
    socket.on('error', ({ code }) => console.log(code)).bind(${port}, () => { console.log('bound'); socket.close() })`
  const user = ['--reuid', '65534', '--regid', '65534', '--clear-groups']
  return lab.host
    .run(['setpriv', ...user, process.execPath, '-e', tries])
    .trim()
    .split('\n')
}

const both = ['EADDRINUSE', 'EADDRINUSE']

describeWith(needs, 'the ports of rules in the kernel', () => {
  beforeAll(built, 120_000)

  it('are nobody else’s for as long as the rule is there, flushed or not', async () => {
    await using lab = new KernelLab()
    const lease = await lab.open(lab.engine(), 'web', {
      listen: '0.0.0.0:8888/tcp+udp',
      target: `${targetAddress}:80`,
    })
    expect(whatNobodyGets(lab, 8888)).toEqual(both)
    lab.host.run(['nft', 'flush', 'ruleset'])
    expect(whatNobodyGets(lab, 8888)).toEqual(both)
    await lease.release()
    expect(whatNobodyGets(lab, 8888).sort()).toEqual(['bound', 'listens'])
  })

  it('go to the next engine without a moment in which somebody else could have them', async () => {
    await using lab = new KernelLab()
    const rule = { listen: `${hostAddress}:8888/tcp+udp`, target: `${targetAddress}:80` }
    const lease = await lab.open(lab.engine(), 'web', rule)
    using heritage = lease.bequeath()
    await lease.retire()
    expect(whatNobodyGets(lab, 8888)).toEqual(both)
    await expect(lab.dial(lab.client, hostAddress, 8888)).rejects.toThrow('ECONNREFUSED')
    const told: string[] = []
    const sockets = makeSocketsEngine({
      host: lab.machine,
      clock: systemClock,
      log: silentLog,
    })
    const next = await lab.inside(() =>
      sockets.open(
        {
          rule: parseRule('web', rule),
          resolve: neverResolved,
          onEvent: ({ type }) => void told.push(type),
          inherit: heritage,
        },
        { signal: AbortSignal.timeout(5000), record: lab.record },
      ),
    )
    expect(next.listening).toEqual([`${hostAddress}:8888/tcp`, `${hostAddress}:8888/udp`])
    // Its way to the target is the test's own network, where there is none.
    await lab.dial(lab.client, hostAddress, 8888).catch(() => {})
    await vi.waitFor(() => expect(told).toContain('opened'))
    expect(whatNobodyGets(lab, 8888)).toEqual(both)
    await next.release({ signal: AbortSignal.timeout(5000) })
    await sockets.close()
  })

  it('are told to be in use before anything is opened, also where nobody listens on them yet', async () => {
    await using lab = new KernelLab()
    const ports = new Ports({ inside: (work) => lab.inside(work) })
    using _held = ports.hold(parseListen('0.0.0.0:8888') as InetListen, undefined)
    const rule = { listen: '0.0.0.0:8880-8890', target: `${targetAddress}:80` }
    await expect(lab.open(lab.engine(), 'web', rule)).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
    expect(lab.record.left).toEqual([])
    expect(lab.host.run(['nft', 'list', 'ruleset'])).toBe('')
  })
})

describeWith({ platform: 'linux' }, 'holding ports', () => {
  /** Twenty ports that nobody has, of one address and of another. */
  async function places(): Promise<{ at: (from: number, to?: number, host?: string) => InetListen }> {
    const first = await freePort('127.0.0.1', 20)
    return {
      at: (from, to = from, host = '127.0.0.1') =>
        parseListen(`${host}:${first + from}-${first + to}`) as InetListen,
    }
  }

  it('holds as many of a range as there is room for, and more once some are let go', async () => {
    const { at } = await places()
    const ports = new Ports({ most: 30 })
    const first = ports.hold(at(0, 19), undefined)
    const second = ports.hold(at(0, 19, '127.0.0.2'), undefined)
    expect([first.sockets.length, second.sockets.length]).toEqual([20, 10])
    first[Symbol.dispose]()
    using again = ports.hold(at(0, 19), undefined)
    expect(again.sockets).toHaveLength(20)
    second[Symbol.dispose]()
  })

  it('holds none of a range of which it cannot have one', async () => {
    const { at } = await places()
    const [one, two] = [new Ports(), new Ports()]
    using _middle = one.hold(at(10), undefined)
    expect(() => two.hold(at(0, 19), undefined)).toThrow('EADDRINUSE')
    using rest = two.hold(at(0, 9), undefined)
    expect(rest.sockets).toHaveLength(10)
  })
})
