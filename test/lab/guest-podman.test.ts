import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { podman } from '../../src/guests/docker/docker.ts'
import { createHost } from '../../src/host/index.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { GuestLab } from './guest-lab.ts'
import { LabPodman, podmanNeeds, rootlessNeeds } from './podman.ts'

const main = join(import.meta.dirname, '../../dist/main.js')
const signal = AbortSignal.timeout(240_000)
const host = createHost()

describeWith(podmanNeeds, 'a real Podman', () => {
  let lab: GuestLab
  let engine: LabPodman

  beforeAll(async () => {
    await built()
    lab = new GuestLab()
    engine = await LabPodman.start(lab.machine, 'root')
    engine.run('web')
    engine.run('pub', ['-p', '127.0.0.1:18081:80'])
    engine.run('onhost', ['--network', 'host'], 8055)
    await lab.up(
      {
        web: { listen: '0.0.0.0:8821', target: 'podman:web:80' },
        both: { listen: 8822, target: 'podman:web:80' },
        nat: { listen: '0.0.0.0:8823', target: 'podman:pub:80', publish: { guest: 'nat' } },
        onhost: { listen: '0.0.0.0:8824', target: 'podman:onhost:8055' },
      },
      { CONTAINER_HOST: engine.url },
    )
  }, 150_000)
  afterAll(() => takenDown(lab, engine), 60_000)

  it('reaches its containers by their own addresses, by a published port, and on this machine’s network', async () => {
    await expect
      .poll(() => lab.pages(8821, 8822, 8823, 8824), { timeout: 30_000 })
      .toEqual({
        8821: 'web',
        8822: 'web',
        8823: 'pub',
        8824: 'onhost',
      })
    expect(await podman({ url: engine.url }).reach('web', { host, signal })).toBe('direct')
  })

  it('follows one that is started again at another address', async () => {
    engine.podman('kill', 'web')
    engine.run('squatter')
    engine.podman('start', 'web')
    await lab.until(8821, 'web')
  })

  it('leaves nothing behind', async () => {
    expect(await lab.down()).toBe(0)
    expect(await lab.page(8821)).toBe('')
  })
})

describeWith(rootlessNeeds, 'a real Podman of a user', () => {
  let lab: GuestLab
  let engine: LabPodman

  beforeAll(async () => {
    await built()
    lab = new GuestLab()
    engine = await LabPodman.start(lab.machine, 'user')
    engine.run('rpub', ['-p', '18082:80'])
    engine.podman('network', 'create', 'own')
    engine.run('rnet', ['--network', 'own', '-p', '18083:80'])
    engine.run('hidden')
    await lab.up(
      {
        rpub: { listen: '0.0.0.0:8831', target: 'podman:rpub:80' },
        rnet: { listen: '0.0.0.0:8832', target: 'podman:rnet:80' },
        hidden: { listen: '0.0.0.0:8833', target: 'podman:hidden:80' },
      },
      { CONTAINER_HOST: engine.url },
    )
  }, 150_000)
  afterAll(() => takenDown(lab, engine), 60_000)

  it('is reached by what is published, as its networks are not this machine’s', async () => {
    await expect
      .poll(() => lab.pages(8831, 8832), { timeout: 30_000 })
      .toEqual({ 8831: 'rpub', 8832: 'rnet' })
    const rules = await lab.status()
    for (const name of ['rpub', 'rnet']) {
      const guest = rules.get(name)?.hops.find(({ hop }) => hop === 'guest')
      expect(guest?.state).toBe('ok')
      expect(guest?.text.en).toContain('no way to the guest’s own address')
    }
  })

  it('the kernel carries nobody to a port on loopback: `auto` takes another engine and says why', async () => {
    const rule = (await lab.status()).get('rpub')
    expect(rule?.engine?.id).toBe('splice')
    expect(rule?.engine?.why.en).toMatch(/kernel: no, because .*loopback/)
  })

  it('says of one without a published port that it cannot be reached, and what to do', async () => {
    const guest = (await lab.status()).get('hidden')?.hops.find(({ hop }) => hop === 'guest')
    expect(guest).toMatchObject({ state: 'broken', problem: 'GUEST_NO_FORWARD' })
    expect(guest?.notes.map(({ en }) => en).join()).toContain('-p')
    await expect(podman({ url: engine.url }).resolve('hidden', { host, signal })).rejects.toMatchObject({
      code: 'GUEST_NO_ADDRESS',
      fix: { en: expect.stringContaining('-p') as string },
    })
  })

  it('is found by its user without a word about where it is', () => {
    const { guests } = JSON.parse(engine.asUser(process.execPath, main, 'guests', '--json')) as {
      guests: { kind: string; name: string }[]
    }
    const names = guests.filter(({ kind }) => kind === 'podman').map(({ name }) => name)
    expect(names.sort()).toEqual(['hidden', 'rnet', 'rpub'])
  })
})

async function takenDown(lab: GuestLab | undefined, engine: LabPodman | undefined): Promise<void> {
  try {
    await lab?.[Symbol.asyncDispose]()
  } finally {
    await engine?.[Symbol.asyncDispose]()
  }
}
