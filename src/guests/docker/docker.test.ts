import { describe, expect, it } from 'vitest'
import { FakeEngine, type FakeContainer } from '../../../test/fakes/docker-engine.ts'
import { fakeHost } from '../../../test/fakes/host.ts'
import { MemoryRecorder } from '../../../test/fakes/recorder.ts'
import type { GuestForwardRequest } from '../contract.ts'
import { docker, podman } from './docker.ts'
import { engineAt } from './engine-api.ts'

const host = fakeHost()
const signal = AbortSignal.timeout(60_000)
const web: FakeContainer = {
  name: 'web',
  id: 'a1'.repeat(32),
  state: 'running',
  address: '172.17.0.2',
  address6: '2001:db8::2',
  ports: [
    { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 32_768, Type: 'tcp' },
    { IP: '::', PrivatePort: 80, PublicPort: 32_768, Type: 'tcp' },
    { PrivatePort: 443, Type: 'tcp' },
  ],
}
const stopped: FakeContainer = { name: 'old', id: 'b2'.repeat(32), state: 'exited', address: '' }
const request: GuestForwardRequest = {
  rule: 'web',
  name: 'web',
  protocol: 'tcp',
  hostAddress: null,
  hostPorts: null,
  guestPorts: { first: 80, last: 80 },
}

describe.each([
  ['docker', docker],
  ['podman', podman],
] as const)('%s', (flavour, member) => {
  const started = (...containers: FakeContainer[]): Promise<FakeEngine> =>
    new FakeEngine(containers, flavour).start()

  it('lists containers with their state, addresses and published ports', async () => {
    await using engine = await started({ ...web }, { ...stopped })
    const guests = await member({ url: engine.url }).list({ host, signal })
    expect(guests).toMatchObject([
      {
        name: 'web',
        state: 'running',
        forwards: [{ protocol: 'tcp', hostAddress: null, hostPort: 32_768, guestPort: 80, ours: false }],
      },
      { name: 'old', state: 'stopped', addresses: [], forwards: [] },
    ])
  })

  it('follows a container to its new address', async () => {
    const container = { ...web }
    await using engine = await started(container)
    const asked = member({ url: engine.url })
    expect((await asked.resolve('web', { host, signal })).addresses).toEqual(['172.17.0.2', '2001:db8::2'])
    container.address = '172.17.0.9'
    const { addresses, ttlMs } = await asked.resolve('web', { host, signal })
    expect(addresses[0]).toBe('172.17.0.9')
    expect(ttlMs).toBe(5000)
  })

  it('finds a container by its Compose service and by the id that `ps` shows', async () => {
    await using engine = await started({ ...web, name: 'shop-web-1', service: 'web' })
    const asked = member({ url: engine.url })
    for (const name of ['shop-web-1', 'web', web.id.slice(0, 12), web.id])
      expect((await asked.resolve(name, { host, signal })).addresses[0]).toBe('172.17.0.2')
  })

  it('refuses a service that two containers provide', async () => {
    const two = [1, 2].map((n) => ({ ...web, id: `${n}`.repeat(64), name: `shop-web-${n}`, service: 'web' }))
    await using engine = await started(...two)
    await expect(member({ url: engine.url }).resolve('web', { host, signal })).rejects.toMatchObject({
      code: 'GUEST_AMBIGUOUS',
      message: expect.stringContaining('shop-web-1 (running), shop-web-2 (running)') as string,
    })
  })

  it('dials a container in the network of this machine or of another container where that is', async () => {
    const sidecar: FakeContainer = {
      ...web,
      name: 'sidecar',
      id: 'c3'.repeat(32),
      mode: `container:${web.id}`,
    }
    const onHost: FakeContainer = { ...web, name: 'onhost', id: 'd4'.repeat(32), mode: 'host' }
    await using engine = await started({ ...web }, sidecar, onHost)
    const asked = member({ url: engine.url })
    expect((await asked.resolve('sidecar', { host, signal })).addresses[0]).toBe('172.17.0.2')
    expect((await asked.resolve('onhost', { host, signal })).addresses).toEqual(['127.0.0.1', '::1'])
  })

  it('tells an unknown, a stopped and a networkless container apart', async () => {
    await using engine = await started({ ...stopped }, { ...web, name: 'alone', mode: 'none' })
    const resolve = (name: string): Promise<unknown> =>
      member({ url: engine.url }).resolve(name, { host, signal })
    await expect(resolve('wbe')).rejects.toMatchObject({
      code: 'GUEST_UNKNOWN',
      message: expect.stringContaining('alone, old') as string,
    })
    await expect(resolve('old')).rejects.toMatchObject({
      code: 'GUEST_STOPPED',
      fix: { en: `start it: ${flavour} start old` },
    })
    await expect(resolve('alone')).rejects.toMatchObject({
      code: 'GUEST_NO_ADDRESS',
      fix: {
        en: expect.stringContaining(
          flavour === 'docker' ? 'connect bridge alone' : '--network podman',
        ) as string,
      },
    })
    engine.rootless = true
    await expect(resolve('alone')).rejects.toMatchObject({
      code: 'GUEST_NO_ADDRESS',
      fix: { en: expect.stringContaining('-p') as string },
    })
  })

  it('uses a published port where the engine shares no network with this machine', async () => {
    await using engine = await started({ ...web })
    const asked = member({ url: engine.url })
    expect(await asked.reach('web', { host, signal })).toBe('direct')
    engine.rootless = true
    expect(await asked.reach('web', { host, signal })).toBe('nat')
    const record = new MemoryRecorder()
    const lease = await asked.open(request, { host, signal, record })
    expect(lease.host).toEqual({ address: '127.0.0.1', ports: { first: 32_768, last: 32_768 } })
    expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
    await lease.release({ signal })
    expect(record.written).toEqual([])
  })

  it('says honestly that a running container cannot be given a port', async () => {
    await using engine = await started({ ...web })
    const record = new MemoryRecorder()
    for (const wanted of [
      { ...request, guestPorts: { first: 443, last: 443 } },
      { ...request, hostPorts: { first: 8888, last: 8888 } },
    ])
      await expect(member({ url: engine.url }).open(wanted, { host, signal, record })).rejects.toMatchObject({
        code: 'GUEST_NO_FORWARD',
      })
    expect(record.written).toEqual([])
  })

  it('gives a silent engine 3 s and then names it', async () => {
    await using engine = await started({ ...web })
    engine.misbehaves = 'silent'
    const began = performance.now()
    await expect(member({ url: engine.url }).list({ host, signal })).rejects.toMatchObject({
      code: 'GUEST_SILENT',
      params: { where: engine.url, ms: 3000 },
    })
    expect(performance.now() - began).toBeLessThan(4000)
  })

  it('names an engine that fails, talks nonsense, or never stops talking', async () => {
    await using engine = await started({ ...web })
    const asked = member({ url: engine.url })
    engine.misbehaves = 'error'
    await expect(asked.list({ host, signal })).rejects.toMatchObject({
      code: 'GUEST_REFUSED',
      message: expect.stringContaining('driver failed') as string,
    })
    engine.misbehaves = 'garbage'
    await expect(asked.list({ host, signal })).rejects.toMatchObject({ code: 'GUEST_UNREADABLE' })
    engine.misbehaves = 'endless'
    await expect(asked.list({ host, signal })).rejects.toMatchObject({
      code: expect.stringMatching(/GUEST_UNREADABLE|GUEST_SILENT/) as string,
    })
    expect((await asked.detect({ host, signal })).ok).toBe(false)
  })

  it('is not here where nobody listens', async () => {
    const asked = member({ url: 'unix:///nonexistent/engine.sock' })
    expect((await asked.detect({ host, signal })).ok).toBe(false)
    await expect(asked.resolve('web', { host, signal })).rejects.toMatchObject({ code: 'GUEST_NOT_HERE' })
  })
})

describe('where an engine is', () => {
  it('is read from what people write in DOCKER_HOST', () => {
    expect(engineAt('unix:///var/run/docker.sock')).toMatchObject({
      at: { socketPath: '/var/run/docker.sock' },
    })
    expect(engineAt('npipe:////./pipe/docker_engine')).toMatchObject({
      at: { socketPath: '//./pipe/docker_engine' },
    })
    expect(engineAt('tcp://10.0.0.5:2375')).toMatchObject({
      at: { host: '10.0.0.5', port: 2375 },
      local: false,
    })
    expect(engineAt('ssh://me@host')).toBeNull()
  })
})
