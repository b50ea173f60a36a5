import { afterAll, beforeAll, expect, it } from 'vitest'
import { libvirt } from '../../src/guests/libvirt/libvirt.ts'
import { createHost } from '../../src/host/index.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { guestImage } from './guest-image.ts'
import { GuestLab } from './guest-lab.ts'
import { LabLibvirt, libvirtNeeds } from './libvirt.ts'

const signal = AbortSignal.timeout(240_000)
const host = createHost()

describeWith(libvirtNeeds, 'a real libvirt', () => {
  let lab: GuestLab
  let here: LabLibvirt
  const member = () => libvirt({ uri: here.uri })

  beforeAll(async () => {
    await built()
    // Made of Debian's packages, which are out of reach from within the lab.
    guestImage()
    lab = new GuestLab()
    here = await LabLibvirt.start(lab.machine)
    here.start('leased', 'network')
    here.start('user net', 'user')
    here.define('a--b off', 'network')
    await lab.up(
      {
        leased: { listen: '0.0.0.0:8841', target: 'libvirt:leased:80' },
        both: { listen: 8842, target: 'libvirt:leased:80' },
        user: { listen: '0.0.0.0:8843', target: 'libvirt:user net:80' },
      },
      { LIBVIRT_DEFAULT_URI: here.uri },
    )
    await Promise.all([
      lab.until(8841, 'hello from leased', 60_000),
      lab.until(8843, 'hello from user-net', 60_000),
    ])
  }, 200_000)
  afterAll(async () => {
    try {
      await lab?.[Symbol.asyncDispose]()
    } finally {
      await here?.[Symbol.asyncDispose]()
    }
  }, 60_000)

  it('is dialled at its leased address, and forwarded to on user networking, whichever engine carries', async () => {
    await expect
      .poll(() => lab.pages(8841, 8842, 8843), { timeout: 30_000 })
      .toEqual({
        8841: 'hello from leased',
        8842: 'hello from leased',
        8843: 'hello from user-net',
      })
    expect((await member().resolve('leased', { host, signal })).addresses).toEqual([
      expect.stringMatching(/^192\.168\.122\./) as string,
    ])
    const user = (await lab.status()).get('user')
    expect(user?.hops.find(({ hop }) => hop === 'guest')).toMatchObject({
      member: 'libvirt',
      text: { en: expect.stringContaining('no way to the guest’s own address') as string },
    })
    // Its forward is on loopback, which the kernel sends nobody to.
    expect(user?.engine?.id).toBe('splice')
  })

  it('lists each guest once, with what is forwarded to it', async () => {
    const { guests } = JSON.parse(await lab.naru('guests', '--json')) as {
      guests: { kind: string; name: string; state: string; forwards: { guestPort: number }[] }[]
    }
    expect(guests.map(({ kind, name, state }) => `${kind}:${name} ${state}`).sort()).toEqual([
      'libvirt:a--b off stopped',
      'libvirt:leased running',
      'libvirt:user net running',
    ])
    expect(guests.find(({ name }) => name === 'user net')?.forwards).toMatchObject([{ guestPort: 80 }])
  })

  it('what starts one that is off works as typed', async () => {
    await expect(member().resolve('a--b off', { host, signal })).rejects.toMatchObject({
      code: 'GUEST_STOPPED',
      fix: { en: "start it: virsh start 'a--b off'" },
    })
    here.virsh('suspend', 'leased')
    await expect(member().resolve('leased', { host, signal })).rejects.toMatchObject({
      fix: { en: 'start it: virsh resume leased' },
    })
    here.virsh('resume', 'leased')
    expect((await member().resolve('leased', { host, signal })).addresses).toHaveLength(1)
  })

  it('leaves every guest as it was', async () => {
    expect(await lab.down()).toBe(0)
    expect(here.virsh('qemu-monitor-command', 'user net', '--hmp', 'info usernet')).not.toContain(
      'HOST_FORWARD',
    )
    expect(await lab.page(8843)).toBe('')
  })
})
