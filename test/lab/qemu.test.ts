import { expect, it } from 'vitest'
import { describeWith } from '../needs.ts'
import { Lab } from './namespaces.ts'
import { guestNeeds, startGuest } from './qemu.ts'

describeWith(guestNeeds, 'a guest of the lab', () => {
  it('serves its page through a forward of QEMU’s own network', async () => {
    await using lab = new Lab()
    const host = lab.host('host')
    const guest = await startGuest(host, {
      name: 'web',
      forwards: ['tcp:127.0.0.1:8888-:80', 'tcp::7007-:7'],
    })
    expect(host.run(['busybox', 'wget', '-qO-', 'http://127.0.0.1:8888/'])).toBe('hello from web\n')
    expect(host.run(['socat', '-t1', '-', 'TCP:127.0.0.1:7007'], { input: 'ping' })).toBe('ping')
    expect(await guest.forwards()).toEqual([
      'TCP[HOST_FORWARD] * 7007 10.0.2.15 7 0 0',
      'TCP[HOST_FORWARD] 127.0.0.1 8888 10.0.2.15 80 0 0',
    ])
    await guest.monitor('hostfwd_remove n0 tcp:127.0.0.1:8888')
    expect(await guest.forwards()).toHaveLength(1)
  }, 60_000)

  it('is reached at its own address over a bridge', async () => {
    await using lab = new Lab()
    const host = lab.host('host')
    const network = { bridge: 'br0', hostAddress: '192.168.122.1/24', guestAddress: '192.168.122.15/24' }
    await startGuest(host, { name: 'web', network })
    expect(host.run(['busybox', 'wget', '-qO-', 'http://192.168.122.15/'])).toBe('hello from web\n')
  })
})
