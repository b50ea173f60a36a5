import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { GuestForwardRequest } from '../../src/guests/contract.ts'
import { qemu } from '../../src/guests/qemu/qemu.ts'
import { createHost } from '../../src/host/index.ts'
import { MemoryRecorder } from '../fakes/recorder.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab, type LabHost } from './namespaces.ts'
import { guestNeeds, startGuest, type LabGuest } from './qemu.ts'

const signal = AbortSignal.timeout(120_000)
const member = qemu()
const host = createHost()
const request: GuestForwardRequest = {
  rule: 'web',
  name: 'web',
  protocol: 'tcp',
  hostAddress: null,
  hostPorts: null,
  guestPorts: { first: 80, last: 80 },
}

describeWith(guestNeeds, 'a real QEMU guest', () => {
  let lab: Lab
  let machine: LabHost
  let guest: LabGuest
  let inside: Disposable
  const page = (port: number, address = '127.0.0.1'): string =>
    machine.run(['busybox', 'wget', '-qO-', `http://${address}:${port}/`])

  beforeAll(async () => {
    lab = new Lab()
    machine = lab.host('host')
    ;[guest] = await Promise.all([
      startGuest(machine, { name: 'web', forwards: ['tcp:127.0.0.1:2222-:22'] }),
      startGuest(machine, {
        name: 'tapped',
        network: { bridge: 'br0', hostAddress: '192.168.122.1/24', guestAddress: '192.168.122.15/24' },
      }),
    ])
    inside = enter(machine)
  }, 90_000)
  afterAll(async () => {
    inside?.[Symbol.dispose]()
    await lab?.[Symbol.asyncDispose]()
  })

  it('is found with its name, state, address and forwards', async () => {
    expect(await member.detect({ host, signal })).toMatchObject({ ok: true })
    const found = [...(await member.list({ host, signal }))].sort((a, b) => a.name.localeCompare(b.name))
    expect(found).toMatchObject([
      { name: 'tapped', state: 'running', addresses: ['192.168.122.15'], forwards: [] },
      {
        name: 'web',
        state: 'running',
        addresses: [],
        forwards: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 2222, guestPort: 22, ours: false }],
      },
    ])
  })

  it('is dialled at its own address where it is on a bridge, and forwarded to where it is not', async () => {
    expect(await member.reach('tapped', { host, signal })).toBe('direct')
    expect(await member.reach('web', { host, signal })).toBe('nat')
    const { addresses } = await member.resolve('tapped', { host, signal })
    expect(page(80, addresses[0])).toBe('hello from tapped\n')
    await expect(member.resolve('web', { host, signal })).rejects.toMatchObject({ code: 'GUEST_NO_ADDRESS' })
    await expect(
      member.open({ ...request, name: 'tapped' }, { host, signal, record: new MemoryRecorder() }),
    ).rejects.toMatchObject({ code: 'GUEST_NO_FORWARD' })
  })

  it('is forwarded to while it runs, and left as it was', async () => {
    const before = await guest.forwards()
    const record = new MemoryRecorder()
    const lease = await member.open(request, { host, signal, record })
    expect(record.left).toHaveLength(1)
    expect(lease.host.address).toBe('127.0.0.1')
    expect(page(lease.host.ports.first)).toBe('hello from web\n')
    expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
    await lease.release({ signal })
    await lease.release({ signal })
    expect(record.left).toEqual([])
    expect(await guest.forwards()).toEqual(before)
  })

  it('says that the forward is lost when somebody removes it, and opens it again', async () => {
    const record = new MemoryRecorder()
    const ports = { first: 8888, last: 8888 }
    const lease = await member.open({ ...request, hostPorts: ports }, { host, signal, record })
    expect(await guest.forwards()).toContain('TCP[HOST_FORWARD] * 8888 10.0.2.15 80 0 0')
    await guest.monitor('hostfwd_remove n0 tcp::8888')
    expect(await lease.verify({ signal })).toMatchObject({
      state: 'lost',
      why: { code: 'GUEST_FORWARD_LOST' },
    })
    await lease.renew({ signal })
    expect(page(8888)).toBe('hello from web\n')
    await lease.release({ signal })
  })

  it('is cleaned up from the journal alone', async () => {
    const before = await guest.forwards()
    const record = new MemoryRecorder()
    const opened = await member.open(
      { ...request, guestPorts: { first: 80, last: 82 } },
      { host, signal, record },
    )
    expect(opened.host.ports.last - opened.host.ports.first).toBe(2)
    expect(record.left).toHaveLength(3)
    for (const effect of [...record.left, ...record.left]) await member.undo(effect, { host, signal })
    expect(await guest.forwards()).toEqual(before)
  })

  it('keeps its hands off a forward that somebody else opened', async () => {
    const record = new MemoryRecorder()
    const lease = await member.open(
      { ...request, guestPorts: { first: 22, last: 22 } },
      { host, signal, record },
    )
    expect(lease.host.ports.first).toBe(2222)
    expect(record.written).toEqual([])
    await lease.release({ signal })
    expect(await guest.forwards()).toHaveLength(1)
    const wanted = { ...request, hostPorts: { first: 2222, last: 2222 } }
    await expect(member.open(wanted, { host, signal, record })).rejects.toMatchObject({
      code: 'GUEST_FORWARD_TAKEN',
      exitCode: 5,
    })
  })

  it('names the program that has the port', async () => {
    const server = createServer().listen(8899, '0.0.0.0')
    await once(server, 'listening')
    const record = new MemoryRecorder()
    const wanted = { ...request, hostPorts: { first: 8899, last: 8899 } }
    await expect(member.open(wanted, { host, signal, record })).rejects.toMatchObject({
      code: 'GUEST_FORWARD_TAKEN',
      message: expect.stringContaining(String(process.pid)) as string,
    })
    expect(record.left).toEqual([])
    server.close()
  })

  it('says who there is where a name is wrong, and who is paused', async () => {
    await expect(member.resolve('wbe', { host, signal })).rejects.toMatchObject({
      code: 'GUEST_UNKNOWN',
      message: expect.stringMatching(/tapped, web/) as string,
    })
    await guest.qmpCommand('stop')
    await expect(member.resolve('web', { host, signal })).rejects.toMatchObject({ code: 'GUEST_STOPPED' })
    await guest.qmpCommand('cont')
  })

  it('that does not answer within 3 s is named so', async () => {
    // QEMU serves one client of its QMP socket at a time.
    const busy = createConnection(guest.qmp)
    try {
      const started = performance.now()
      await expect(member.resolve('web', { host, signal })).rejects.toMatchObject({ code: 'GUEST_SILENT' })
      expect(performance.now() - started).toBeLessThan(4500)
    } finally {
      busy.destroy()
    }
  })

  it('that ends while it is asked is named so', async () => {
    await using ending = await startGuest(machine, { name: 'ending' })
    // Who waits behind another client is let go of without a word when QEMU ends.
    const busy = createConnection(ending.qmp)
    busy.on('error', () => {})
    await once(busy, 'data')
    const asked = expect(member.resolve('ending', { host, signal })).rejects.toMatchObject({
      code: 'GUEST_NOT_HERE',
      message: expect.stringContaining(`ending, ${ending.qmp}`) as string,
    })
    await new Promise((resolve) => setTimeout(resolve, 300))
    await ending.stop()
    await asked
    busy.destroy()
  }, 40_000)

  it('takes its forwards along when it ends, and nothing is left to undo', async () => {
    const record = new MemoryRecorder()
    const lease = await member.open(request, { host, signal, record })
    await guest.stop()
    expect(await lease.verify({ signal })).toMatchObject({ state: 'lost', why: { code: 'GUEST_UNKNOWN' } })
    await using again = await startGuest(machine, {
      name: 'web',
      forwards: [`tcp:127.0.0.1:${lease.host.ports.first}-:80`],
    })
    // The new guest's forward looks like ours, and is not: it came with another QEMU.
    await lease.release({ signal })
    expect(record.left).toEqual([])
    expect(await again.forwards()).toHaveLength(1)
  }, 40_000)
})
