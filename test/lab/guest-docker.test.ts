import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { docker as dockerMember } from '../../src/guests/docker/docker.ts'
import { createHost } from '../../src/host/index.ts'
import { built } from '../built.ts'
import { describeWith, type Needs } from '../needs.ts'
import { Cell } from './cell.ts'
import { containerImage, serving } from './container-image.ts'
import { GuestLab } from './guest-lab.ts'

const needs: Needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nsenter', 'unshare', 'dockerd', 'docker', 'busybox', 'curl'],
}
const signal = AbortSignal.timeout(120_000)
const host = createHost()
const httpOf = (listen: string, target: string, guest: 'direct' | 'nat' = 'direct') =>
  ({ listen, target, publish: { firewall: 'off', router: 'off', guest } }) as const

describeWith(needs, 'a real Docker', () => {
  let lab: GuestLab
  let cell: Cell
  let url: string
  const docker = (...args: string[]): string =>
    execFileSync('docker', ['--host', url, ...args], {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, DOCKER_CONFIG: cell.folder },
    }).trim()
  const run = (name: string, options: string[] = [], port = 80): string =>
    docker('run', '-d', '--name', name, ...options, 'naru-lab', ...serving(name, port))
  const member = () => dockerMember({ url })

  beforeAll(async () => {
    await built()
    lab = new GuestLab()
    lab.machine.sysctl('net/ipv6/conf/all/forwarding', '1')
    cell = new Cell(
      lab.machine,
      'exec dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" ' +
        '--storage-driver vfs --cgroup-parent "/$(basename "$1")"',
    )
    url = `unix://${join(cell.folder, 'docker.sock')}`
    const image = containerImage(cell.folder)
    await cell.until('dockerd', () => docker('version'))
    docker('import', image, 'naru-lab')
    docker('network', 'create', '-d', 'macvlan', '--subnet', '198.51.100.0/24', '-o', 'parent=eth0', 'amac')
    docker('network', 'create', '--subnet', '10.61.0.0/24', 'zbridge')
    docker('network', 'create', '--internal', '--subnet', '10.62.0.0/24', 'inner')
    docker('network', 'create', '--ipv6', '--subnet', '10.63.0.0/24', '--subnet', 'fd00:63::/64', 'six')
    run('web')
    run('multi', ['--network', 'amac'])
    docker('network', 'connect', 'zbridge', 'multi')
    run('inner', ['--network', 'inner'])
    run('six', ['--network', 'six'])
    run('onhost', ['--network', 'host'], 8055)
    run('alone', ['--network', 'none'])
    run('shop-web-1', [
      '--label',
      'com.docker.compose.service=shop',
      '--label',
      'com.docker.compose.project=shop',
    ])
    run('pub', ['-p', '127.0.0.1:18080:80'])
    await lab.up(
      {
        web: httpOf('0.0.0.0:8801', 'docker:web:80'),
        both: httpOf('8802', 'docker:web:80'),
        multi: httpOf('0.0.0.0:8803', 'docker:multi:80'),
        inner: httpOf('0.0.0.0:8804', 'docker:inner:80'),
        six: httpOf('[::]:8805', 'docker:six:80'),
        no6: httpOf('[::]:8806', 'docker:web:80'),
        onhost: httpOf('0.0.0.0:8807', 'docker:onhost:8055'),
        service: httpOf('0.0.0.0:8808', 'docker:shop:80'),
        nat: httpOf('0.0.0.0:8809', 'docker:pub:80', 'nat'),
      },
      { DOCKER_HOST: url },
    )
  }, 150_000)
  afterAll(async () => {
    try {
      await lab?.[Symbol.asyncDispose]()
    } finally {
      await cell?.[Symbol.asyncDispose]()
    }
  }, 60_000)

  it('reaches a container wherever it is, by whichever engine can', async () => {
    await expect
      .poll(() => lab.pages(8801, 8802, 8803, 8804, 8807, 8808, 8809), { timeout: 30_000 })
      .toEqual({
        8801: 'web',
        8802: 'web',
        // On a macvlan first, which this machine has no way to, and on a bridge second.
        8803: 'multi',
        // Docker drops what is forwarded into an internal network, and not what this machine itself sends.
        8804: 'inner',
        8807: 'onhost',
        8808: 'shop-web-1',
        // A published port on loopback: from outside there is no way to it but ours.
        8809: 'pub',
      })
    expect(await lab.page(8805, '2001:db8:2::1')).toBe('six')
    expect(await lab.page(8806, '2001:db8:2::1')).toBe('web')
  })

  it('the kernel does not carry past Docker’s own filter, and `auto` says so', async () => {
    const rules = await lab.status()
    for (const name of ['web', 'multi', 'inner', 'nat']) {
      const engine = rules.get(name)?.engine
      expect(engine?.id).toBe('splice')
      expect(engine?.why.en).toMatch(/kernel: no, because/)
    }
  })

  it('lists what there is, with the published port', async () => {
    const guests = await member().list({ host, signal })
    const by = new Map(guests.map((guest) => [guest.name, guest]))
    expect(by.get('pub')?.forwards).toEqual([
      { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 18080, guestPort: 80, ours: false },
    ])
    expect(by.get('six')?.addresses.some((address) => address.startsWith('fd00:63:'))).toBe(true)
    expect(by.get('multi')?.addresses).toHaveLength(2)
    expect((await lab.status()).get('nat')?.hops?.find(({ hop }) => hop === 'guest')?.state).toBe('ok')
  })

  it('what it advises for a container without a network works as typed', async () => {
    const failure = await member()
      .resolve('alone', { host, signal })
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'GUEST_NO_ADDRESS' })
    const commands = (failure as { fix: { en: string } }).fix.en.replace(/^.*?: /, '').split('; ')
    for (const command of commands) docker(...command.split(' ').slice(1))
    expect((await member().resolve('alone', { host, signal })).addresses).toHaveLength(1)
  })

  it('follows one that is started again at another address, renamed, and moved to another network', async () => {
    docker('kill', 'web')
    run('squatter')
    docker('start', 'web')
    await lab.until(8801, 'web')
    await lab.until(8802, 'web')
    docker('rename', 'web', 'former')
    docker('rename', 'squatter', 'web')
    await lab.until(8801, 'squatter')
    docker('network', 'disconnect', 'bridge', 'web')
    docker('network', 'connect', 'inner', 'web')
    await lab.until(8801, 'squatter')
  })

  it('tells at once that a guest is off, and carries it when it comes back', async () => {
    docker('kill', 'inner')
    await expect(member().resolve('inner', { host, signal })).rejects.toMatchObject({
      code: 'GUEST_STOPPED',
      fix: { en: 'start it: docker start inner' },
    })
    expect(await lab.page(8804)).toBe('')
    docker('start', 'inner')
    await lab.until(8804, 'inner')
  })

  it('leaves Docker as it was', async () => {
    const before = docker('ps', '--format', '{{.Names}} {{.Ports}}')
    expect(await lab.down()).toBe(0)
    expect(docker('ps', '--format', '{{.Names}} {{.Ports}}')).toBe(before)
    expect(await lab.page(8801)).toBe('')
  })
})
