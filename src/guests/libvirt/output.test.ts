import { expect, it } from 'vitest'
import { fakeHost } from '../../../test/fakes/host.ts'
import { FakeVirsh } from '../../../test/fakes/hypervisor-tools.ts'
import { MemoryRecorder } from '../../../test/fakes/recorder.ts'
import { libvirt } from './libvirt.ts'
import { parseAddresses, parseDomains, parseInterfaces } from './output.ts'

it('domstats tells names and states, whatever a name holds', () => {
  const text =
    "Domain: 'web'\n  state.state=1\n  state.reason=1\n\nDomain: 'it's off'\n  state.state=5\n  state.reason=0\n\n"
  expect(parseDomains(text)).toEqual([
    { name: 'web', state: 'running' },
    { name: "it's off", state: 'stopped' },
  ])
})

it('domifaddr tells addresses, of which loopback and link-local are none', () => {
  const text = ` Name       MAC address          Protocol     Address
-------------------------------------------------------------------------------
 lo         00:00:00:00:00:00    ipv4         127.0.0.1/8
 -          -                    ipv6         ::1/128
 vnet0      52:54:00:9a:1b:2c    ipv6         fe80::5054:ff:fe9a:1b2c/64
 -          -                    ipv6         2001:db8::45/64
 vnet0      52:54:00:9a:1b:2c    ipv4         192.168.122.45/24

`
  const mac = '52:54:00:9a:1b:2c'
  expect(parseAddresses(text)).toEqual([
    { address: '2001:db8::45', mac },
    { address: '192.168.122.45', mac },
  ])
})

it('of what the agent tells, an interface that the guest made itself is no way in', async () => {
  const virsh = new FakeVirsh([
    { name: 'web', state: 1, id: 3, network: 'network', address: '', forwards: [] },
  ])
  const agent = ` Name       MAC address          Protocol     Address
-------------------------------------------------------------------------------
 lo         00:00:00:00:00:00    ipv4         127.0.0.1/8
 docker0    02:42:fe:cf:be:3d    ipv4         172.17.0.1/16
 eth0       52:54:00:9A:1b:2c    ipv4         10.77.0.5/24
 -          -                    ipv6         2001:db8::45/64
`
  const answering = (told: string): ReturnType<typeof fakeHost> =>
    fakeHost({
      run: (argv, options) =>
        argv.includes('domifaddr') ? (argv.includes('agent') ? told : '') : virsh.answer(argv, options),
    })
  const resolved = async (told: string): Promise<readonly string[]> => {
    const options = { host: answering(told), signal: AbortSignal.timeout(10_000) }
    return (await libvirt().resolve('web', options)).addresses
  }
  expect(await resolved(agent)).toEqual(['10.77.0.5', '2001:db8::45'])
  // One that goes by a MAC of its own is met all the same.
  const another = agent.replace('52:54:00:9A:1b:2c', '02:00:00:00:00:01')
  expect(await resolved(another)).toEqual(['172.17.0.1', '10.77.0.5', '2001:db8::45'])
})

it('a passt interface tells the forwards of its definition', () => {
  const xml = `<interface type='user'><backend type='passt' logFile='/tmp/x'/>
    <portForward proto='tcp' address='127.0.0.1' dev='eth0'><range start='2022' to='22'/><range start='8000' end='8002' to='9000'/></portForward>
    <portForward proto='udp'><range start='5000' end='5002'/><range start='5001' exclude='yes'/></portForward><alias name='net0'/></interface>`
  const [card] = parseInterfaces(xml)
  expect(card).toMatchObject({ type: 'user', passt: true, alias: 'net0' })
  expect(
    card?.forwards.map(({ protocol, hostPort, guestPort }) => `${protocol} ${hostPort}→${guestPort}`),
  ).toEqual([
    'tcp 2022→22',
    'tcp 8000→9000',
    'tcp 8001→9001',
    'tcp 8002→9002',
    'udp 5000→5000',
    'udp 5001→5001',
    'udp 5002→5002',
  ])
})

it.each([
  ['/var/run/libvirt/libvirt-sock', 'No such file or directory', 'sudo systemctl start libvirtd'],
  ['/var/run/libvirt/virtqemud-sock', 'Connection refused', 'sudo systemctl start virtqemud'],
  ['/run/user/1000/libvirt/libvirt-sock', 'No such file or directory', 'libvirtd --daemon'],
])(
  'a libvirt that does not run (%s: %s) is told as that, with what starts it',
  async (socket, why, start) => {
    const stderr = `error: failed to connect to the hypervisor\nerror: Failed to connect socket to '${socket}': ${why}\n`
    const host = fakeHost({ run: () => ({ exit: 1, stderr }) })
    await expect(
      libvirt().resolve('web', { host, signal: AbortSignal.timeout(10_000) }),
    ).rejects.toMatchObject({
      code: 'GUEST_NOT_RUNNING',
      message: `libvirt is not running: nobody answers at ${socket}`,
      params: { start },
    })
  },
)

it('a libvirt that refuses is told with its words', async () => {
  const stderr = `error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied\n`
  const host = fakeHost({ run: () => ({ exit: 1, stderr }) })
  await expect(libvirt().resolve('web', { host, signal: AbortSignal.timeout(10_000) })).rejects.toMatchObject(
    {
      code: 'GUEST_REFUSED',
    },
  )
})

it('a forward of passt is used where it is, and cannot be added', async () => {
  const virsh = new FakeVirsh([{ name: 'web', state: 1, id: 3, network: 'passt', address: '', forwards: [] }])
  const options = { host: fakeHost({ run: virsh.answer }), signal: AbortSignal.timeout(10_000) }
  const record = new MemoryRecorder()
  const request = {
    rule: 'ssh',
    name: 'web',
    protocol: 'tcp',
    hostAddress: null,
    hostPorts: null,
    guestPorts: { first: 22, last: 22 },
  } as const
  const lease = await libvirt().open(request, { ...options, record })
  expect(lease.host.ports.first).toBe(2022)
  const other = { ...request, guestPorts: { first: 80, last: 80 } }
  await expect(libvirt().open(other, { ...options, record })).rejects.toMatchObject({
    code: 'GUEST_NO_FORWARD',
  })
  expect(record.written).toEqual([])
})

it('a domain that goes while the others are looked at hides none of them, and a name stays one word', async () => {
  const card = { state: 1, id: 3, network: 'network', address: '192.168.122.9', forwards: [] } as const
  const virsh = new FakeVirsh([
    { ...card, name: 'web', forwards: [] },
    { ...card, name: 'a--b c', state: 5, forwards: [] },
  ])
  const host = fakeHost({
    run(argv, options) {
      const answer = virsh.answer(argv, options)
      return argv.includes('domstats') && typeof answer === 'string'
        ? `Domain: 'gone'\n  state.state=1\n\n${answer}`
        : answer
    },
  })
  const options = { host, signal: AbortSignal.timeout(10_000) }
  expect((await libvirt().list(options)).map(({ name, addresses }) => `${name} ${addresses.join()}`)).toEqual(
    ['gone ', 'web 192.168.122.9', 'a--b c '],
  )
  await expect(libvirt().resolve('a--b c', options)).rejects.toMatchObject({
    fix: { en: expect.stringMatching(/virsh start ['"]a--b c['"]/) as string },
  })
})
