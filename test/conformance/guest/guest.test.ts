/** Every kind of guest against a hypervisor that behaves as its documentation says. Real QEMU is in test/lab. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { docker, podman } from '../../../src/guests/docker/docker.ts'
import { hyperv } from '../../../src/guests/hyperv/hyperv.ts'
import { libvirt } from '../../../src/guests/libvirt/libvirt.ts'
import { virtualbox } from '../../../src/guests/virtualbox/virtualbox.ts'
import { vmware } from '../../../src/guests/vmware/vmware.ts'
import { wsl } from '../../../src/guests/wsl/wsl.ts'
import { FakeEngine } from '../../fakes/docker-engine.ts'
import { fakeHost } from '../../fakes/host.ts'
import {
  FakePowerShell,
  FakeVBoxManage,
  FakeVirsh,
  FakeWsl,
  type FakeDomain,
  type FakeHyperVMachine,
  type FakeMachine,
} from '../../fakes/hypervisor-tools.ts'
import { FakeVmrest } from '../../fakes/vmrest.ts'
import { guestConformance } from './suite.ts'

const nothing = (): Promise<void> => Promise.resolve()

for (const [kind, member] of [
  ['docker', docker],
  ['podman', podman],
] as const)
  guestConformance(kind, { has: ['stopped', 'twins'] }, async () => {
    const web = { name: 'web', id: 'a1'.repeat(32), state: 'running', address: '172.17.0.2' } as const
    const container = { ...web, state: 'running' as const, address: '172.17.0.2' as string }
    const twins = ['1', '2'].map((n) => ({
      ...container,
      id: n.repeat(64),
      name: `app-${n}`,
      service: 'app',
    }))
    const engine = await new FakeEngine(
      [container, { ...web, id: 'b2'.repeat(32), name: 'old', state: 'exited', address: '' }, ...twins],
      kind,
    ).start()
    return {
      member: member({ url: engine.url }),
      host: fakeHost(),
      running: 'web',
      stopped: 'old',
      twins: 'app',
      address: '172.17.0.2',
      forwards: null,
      silence: () => void (engine.misbehaves = 'silent'),
      move: () => (container.address = '172.17.0.7'),
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    }
  })

guestConformance(
  'vmware by its REST server',
  { has: ['stopped', 'twins', 'forwards', 'lasting-forwards'] },
  async () => {
    const nic = { type: 'nat', vmnet: 'vmnet8', macAddress: '00:0C:29:11:22:33' }
    const win10 = {
      id: 'IDWIN10',
      path: 'C:\\VMs\\win10\\win10.vmx',
      power: 'poweredOn' as 'poweredOn' | 'poweredOff',
      ip: '192.168.79.128' as string | null,
      nic,
    }
    const twin = (id: string) => ({ ...win10, id, path: `/vms/${id}/twin.vmx` })
    const server = await new FakeVmrest([
      win10,
      { ...win10, id: 'IDOLD', path: '/vms/old/old.vmx', power: 'poweredOff', ip: null },
      twin('IDT1'),
      twin('IDT2'),
    ]).start()
    server.forwards.set('tcp/2222', { guestIp: '192.168.79.128', guestPort: 22, desc: 'ssh' })
    return {
      member: vmware({ rest: server.url }),
      host: fakeHost(),
      running: 'win10',
      stopped: 'old',
      twins: 'twin',
      address: '192.168.79.128',
      forwards: {
        hostPorts: { first: 8888, last: 8888 },
        guestPort: 80,
        snapshot: () => [[...server.forwards], [...server.pins]],
        lose: () => void server.forwards.delete('tcp/8888'),
        refuseNext: () => void (server.refuseNext = true),
        stopGuest: () => void (win10.power = 'poweredOff'),
      },
      silence: () => void (server.silent = true),
      move: () => (win10.ip = '192.168.79.140'),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  },
)

guestConformance('vmware by its tools', { has: ['stopped', 'forwards', 'lasting-forwards'] }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-vmware-'))
  cpSync(join(import.meta.dirname, 'vmware'), folder, { recursive: true })
  const networking = join(folder, 'networking')
  const paths = ['win10', 'old'].map((name) => join(folder, `${name}.vmx`))
  const [win10 = '', old = ''] = paths
  writeFileSync(
    join(folder, 'inventory.vmls'),
    paths.map((path, index) => `vmlist${index}.config = "${path}"\n`).join(''),
  )
  const state = { running: true, silent: false, refuse: false, ip: '192.168.79.128' }
  const place = {
    platform: 'linux',
    vmrun: 'vmrun',
    inventory: join(folder, 'inventory.vmls'),
    networking,
    mayRestart: true,
  } as const
  const host = fakeHost({
    run(argv) {
      if (state.silent) return new Promise(() => {})
      const [command, verb] = argv
      if (command === 'vmrun' && verb === 'list')
        return state.running ? `Total running VMs: 1\n${win10}\n` : 'Total running VMs: 0\n'
      if (command === 'vmrun')
        return argv[2] === win10 && state.running
          ? `${state.ip}\n`
          : { exit: 255, stdout: `Error: The virtual machine is not powered on: ${old}\n` }
      if (command !== 'vmware-networks') return undefined
      if (!state.refuse) return ''
      state.refuse = false
      return { exit: 1, stderr: 'Failed to restart network services' }
    },
  })
  const text = (): string => readFileSync(networking, 'utf8')
  return Promise.resolve({
    member: vmware({ tools: place, env: {} }),
    host,
    running: 'win10',
    stopped: 'old',
    twins: null,
    address: '192.168.79.128',
    forwards: {
      hostPorts: { first: 8888, last: 8888 },
      guestPort: 80,
      snapshot: text,
      lose: () => writeFileSync(networking, text().replace(/^add_nat_portfwd 8 tcp 8888 .*\n/m, '')),
      refuseNext: () => void (state.refuse = true),
      stopGuest: () => void (state.running = false),
    },
    silence: () => void (state.silent = true),
    move: () => (state.ip = '192.168.79.150'),
    [Symbol.asyncDispose]: () => Promise.resolve(rmSync(folder, { recursive: true, force: true })),
  })
})

const machine = (name: string, n: number, change: Partial<FakeMachine> = {}): FakeMachine => ({
  name,
  uuid: `0f3c1a2b-0000-4000-8000-00000000000${n}`,
  state: 'running',
  nic: 'nat',
  address: '10.0.2.15',
  forwards: ['ssh,tcp,127.0.0.1,2222,,22'],
  ...change,
})

guestConformance(
  'virtualbox on its NAT',
  { has: ['stopped', 'twins', 'forwards', 'lasting-forwards'] },
  () => {
    const win10 = machine('win10', 1)
    const box = new FakeVBoxManage([
      win10,
      machine('old', 2, { state: 'poweroff' }),
      machine('twin', 3),
      machine('twin', 4),
    ])
    return Promise.resolve({
      member: virtualbox({ command: 'VBoxManage' }),
      host: fakeHost({ run: box.answer }),
      running: 'win10',
      stopped: 'old',
      twins: 'twin',
      address: null,
      forwards: {
        hostPorts: null,
        guestPort: 80,
        snapshot: () => [...win10.forwards],
        lose: () => void (win10.forwards = win10.forwards.filter((forward) => !forward.startsWith('naru-'))),
        refuseNext: () => void (box.refuseNext = true),
        stopGuest: () => void (win10.state = 'poweroff'),
      },
      silence: () => void (box.silent = true),
      [Symbol.asyncDispose]: nothing,
    })
  },
)

guestConformance('virtualbox on a host-only network', { has: [] }, () => {
  const win10 = machine('win10', 1, { nic: 'hostonly', address: '192.168.56.101', forwards: [] })
  const box = new FakeVBoxManage([win10])
  return Promise.resolve({
    member: virtualbox({ command: 'VBoxManage' }),
    host: fakeHost({ run: box.answer }),
    running: 'win10',
    stopped: null,
    twins: null,
    address: '192.168.56.101',
    forwards: null,
    silence: () => void (box.silent = true),
    move: () => (win10.address = '192.168.56.102'),
    [Symbol.asyncDispose]: nothing,
  })
})

const domain = (
  name: string,
  network: FakeDomain['network'],
  change: Partial<FakeDomain> = {},
): FakeDomain => ({
  name,
  state: 1,
  id: 7,
  network,
  address: '192.168.122.45',
  forwards: [],
  ...change,
})

guestConformance('libvirt on a network', { has: ['stopped'] }, () => {
  const web = domain('web', 'network')
  const virsh = new FakeVirsh([web, domain('old', 'network', { state: 5 })])
  return Promise.resolve({
    member: libvirt(),
    host: fakeHost({ run: virsh.answer }),
    running: 'web',
    stopped: 'old',
    twins: null,
    address: '192.168.122.45',
    forwards: null,
    silence: () => void (virsh.silent = true),
    move: () => (web.address = '192.168.122.99'),
    [Symbol.asyncDispose]: nothing,
  })
})

guestConformance('libvirt on user networking', { has: ['stopped', 'forwards'] }, () => {
  const web = domain('web', 'user', { forwards: ['tcp * 2222 22'] })
  const virsh = new FakeVirsh([web, domain('old', 'user', { state: 5 })])
  return Promise.resolve({
    member: libvirt(),
    host: fakeHost({ run: virsh.answer }),
    running: 'web',
    stopped: 'old',
    twins: null,
    address: null,
    forwards: {
      hostPorts: null,
      guestPort: 80,
      snapshot: () => [...web.forwards],
      lose: () => void (web.forwards = web.forwards.slice(0, 1)),
      refuseNext: () => void (virsh.refuseNext = true),
    },
    silence: () => void (virsh.silent = true),
    [Symbol.asyncDispose]: nothing,
  })
})

guestConformance(
  'hyperv',
  { has: ['stopped', 'twins', 'forwards', 'lasting-forwards'], silentMs: 8000 },
  () => {
    const web: FakeHyperVMachine = {
      Name: '웹 서버',
      Id: 'aaaaaaaa-0000-4000-8000-000000000001',
      State: 2,
      Addresses: ['192.168.50.10', 'fe80::1'],
    }
    const shell = new FakePowerShell([
      web,
      { ...web, Id: 'aaaaaaaa-0000-4000-8000-000000000002', Name: 'old', State: 3, Addresses: [] },
      { ...web, Id: 'aaaaaaaa-0000-4000-8000-000000000003', Name: 'twin' },
      { ...web, Id: 'aaaaaaaa-0000-4000-8000-000000000004', Name: 'twin' },
    ])
    return Promise.resolve({
      member: hyperv(),
      host: fakeHost({ run: shell.answer, facts: { platform: 'win32' } }),
      running: '웹 서버',
      stopped: 'old',
      twins: 'twin',
      address: '192.168.50.10',
      forwards: {
        hostPorts: { first: 8888, last: 8888 },
        guestPort: 80,
        snapshot: () => [...shell.mappings],
        lose: () => void (shell.mappings = []),
        refuseNext: () => void (shell.refuseNext = true),
        stopGuest: () => void (web.State = 3),
      },
      silence: () => void (shell.silent = true),
      move: () => (web.Addresses = ['192.168.50.77'])[0] as string,
      [Symbol.asyncDispose]: nothing,
    })
  },
)

guestConformance('wsl behind its NAT', { has: ['stopped'] }, () => {
  const ubuntu = { name: 'Ubuntu-22.04', running: true, address: '172.28.112.5' }
  const tool = new FakeWsl([ubuntu, { name: 'Debian', running: false, address: '' }])
  return Promise.resolve({
    member: wsl(),
    host: fakeHost({ run: tool.answer, facts: { platform: 'win32' } }),
    running: 'Ubuntu-22.04',
    stopped: 'Debian',
    twins: null,
    address: '172.28.112.5',
    forwards: null,
    silence: () => void (tool.silent = true),
    move: () => (ubuntu.address = '172.28.118.77'),
    [Symbol.asyncDispose]: nothing,
  })
})

guestConformance('wsl in mirrored mode', { has: ['forwards'] }, () => {
  const tool = new FakeWsl([{ name: 'Ubuntu-22.04', running: true, address: '192.168.1.10' }])
  const shell = new FakePowerShell()
  const ethernet = {
    name: '이더넷',
    kind: 'ethernet',
    up: true,
    mac: null,
    index: 7,
    addresses: [{ family: 4, address: '192.168.1.10', bits: 24 }],
  } as const
  return Promise.resolve({
    member: wsl(),
    host: fakeHost({
      run: (argv, options) => tool.answer(argv, options) ?? shell.answer(argv, options),
      facts: { platform: 'win32' },
      network: { interfaces: () => Promise.resolve([ethernet]) },
    }),
    running: 'Ubuntu-22.04',
    stopped: null,
    twins: null,
    address: '127.0.0.1',
    forwards: {
      hostPorts: { first: 80, last: 80 },
      guestPort: 80,
      snapshot: () => [...shell.rules],
      lose: () => void (shell.rules = []),
      refuseNext: () => void (shell.refuseNext = true),
    },
    silence: () => void (tool.silent = true),
    [Symbol.asyncDispose]: nothing,
  })
})
