import { execFileSync } from 'node:child_process'
import { chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeHost, FakeRunner } from '../../../test/fakes/host.ts'
import { MemoryRecorder } from '../../../test/fakes/recorder.ts'
import { parseInventory, parseVmrunList, parseVmx, toolsSide, usualPlace } from './tools.ts'
import { textOf } from './text-file.ts'
import { vmware } from './vmware.ts'

const signal = AbortSignal.timeout(30_000)
const windows = { 'ProgramFiles(x86)': 'C:\\PF86', ProgramFiles: 'C:\\PF', NARU_VMWARE_RESTART: 'yes' }
const isOlder = (path: string): boolean => path.startsWith('C:\\PF86')

/** As `reg query … /reg:32` prints on a Korean Windows: only what a missing key says is translated. */
const registry = `
HKEY_LOCAL_MACHINE\\SOFTWARE\\VMware, Inc.\\VMnetLib\\VMnetConfig\\vmnet8\\NAT\\TCPForward
    2222    REG_SZ    192.168.79.128:22
    2222Description    REG_SZ    ssh

`
const missing = { exit: 1, stderr: '오류: 지정된 레지스트리 키 또는 값을 찾을 수 없습니다.\r\n' }

describe('VMware’s NAT on Windows without vmrest', () => {
  const runner = new FakeRunner((argv) => {
    if (argv[1] !== 'query') return ''
    return argv[2]?.endsWith('TCPForward') ? registry : missing
  })
  const side = toolsSide(usualPlace('win32', windows, isOlder), runner)
  const forward = {
    protocol: 'tcp',
    hostPort: 8888,
    guestAddress: '192.168.79.128',
    guestPort: 80,
    tag: 'naru-iis',
  } as const

  it('is read from the 32-bit registry', async () => {
    expect(await side.forwards('vmnet8', signal)).toEqual([
      { protocol: 'tcp', hostPort: 2222, guestAddress: '192.168.79.128', guestPort: 22, tag: null },
    ])
  })

  it('is changed there, and VMware’s network started again', async () => {
    runner.ran.length = 0
    await side.add('vmnet8', forward, signal)
    await side.remove('vmnet8', forward, signal)
    const key = 'HKLM\\SOFTWARE\\VMware, Inc.\\VMnetLib\\VMnetConfig\\vmnet8\\NAT\\TCPForward'
    const restart = ['update nat vmnet8', 'stop nat', 'start nat'].map(
      (what) => expect.stringMatching(`vnetlib64.exe -- ${what}$`) as string,
    )
    expect(runner.ran).toEqual([
      `reg add ${key} /v 8888 /t REG_SZ /d 192.168.79.128:80 /f /reg:32`,
      ...restart,
      `reg delete ${key} /v 8888 /f /reg:32`,
      ...restart,
    ])
  })
})

describe('Workstation on Windows', () => {
  const none = (): boolean => false
  const isNewer = (path: string): boolean => !isOlder(path)

  it('is found where its 64-bit installer (26H1) puts it, and where the 32-bit one did', () => {
    expect(usualPlace('win32', windows, isNewer).vmrun).toBe(
      join('C:\\PF', 'VMware/VMware Workstation/vmrun.exe'),
    )
    expect(usualPlace('win32', windows, isOlder).vmrun).toBe(
      join('C:\\PF86', 'VMware/VMware Workstation/vmrun.exe'),
    )
    expect(usualPlace('win32', windows, none).vmrun).toBe(
      join('C:\\PF', 'VMware/VMware Workstation/vmrun.exe'),
    )
  })

  it('has its NAT in the half of the registry that is its own', async () => {
    const runner = new FakeRunner(() => '')
    await toolsSide(usualPlace('win32', windows, isNewer), runner).forwards('vmnet8', signal)
    expect(runner.ran).toHaveLength(2)
    for (const ran of runner.ran) expect(ran).toMatch(/ \/reg:64$/)
  })
})

describe('VMware’s networking file', () => {
  let folder: string
  let networking: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'naru-vmware-'))
    networking = join(folder, 'networking')
    writeFileSync(networking, 'VERSION=1,0\nanswer VNET_8_NAT yes\n', { mode: 0o640 })
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('gains and loses a line of ours, byte for byte and with its mode', async () => {
    const place = { platform: 'linux', vmrun: 'vmrun', inventory: '', networking, mayRestart: true } as const
    const runner = new FakeRunner(() => '')
    const side = toolsSide(place, runner)
    const forward = {
      protocol: 'udp',
      hostPort: 5353,
      guestAddress: '192.168.79.128',
      guestPort: 53,
      tag: 'naru-dns',
    } as const
    await side.add('vmnet8', forward, signal)
    await side.pin('vmnet8', '00:0c:29:11:22:33', '192.168.79.128', signal)
    expect(readFileSync(networking, 'utf8')).toBe(
      'VERSION=1,0\nanswer VNET_8_NAT yes\nadd_nat_portfwd 8 udp 5353 192.168.79.128 53 naru-dns\nadd_dhcp_mac_to_ip 8 00:0c:29:11:22:33 192.168.79.128\n',
    )
    expect(await side.pinOf('vmnet8', '00:0c:29:11:22:33', signal)).toBe('192.168.79.128')
    expect(statSync(networking).mode & 0o777).toBe(0o640)
    await side.pin('vmnet8', '00:0c:29:11:22:33', null, signal)
    await side.remove('vmnet8', forward, signal)
    expect(readFileSync(networking, 'utf8')).toBe('VERSION=1,0\nanswer VNET_8_NAT yes\n')
    expect(runner.ran).toContain(`vmware-networks --migrate-network-settings ${networking}`)
  })

  it('is left alone where nobody agreed to cut every VM off for a moment', async () => {
    const vmx = join(folder, 'win10.vmx')
    writeFileSync(vmx, 'ethernet0.present = "TRUE"\nethernet0.connectionType = "nat"\n')
    const place = { platform: 'linux', vmrun: 'vmrun', inventory: '', networking, mayRestart: false } as const
    const host = fakeHost({
      run: (argv) => (argv[1] === 'list' ? `Total running VMs: 1\n${vmx}\n` : '192.168.79.128\n'),
    })
    const record = new MemoryRecorder()
    const request = {
      rule: 'iis',
      name: 'win10',
      protocol: 'tcp',
      hostAddress: null,
      hostPorts: null,
      guestPorts: { first: 80, last: 80 },
    } as const
    await expect(
      vmware({ tools: place, env: {} }).open(request, { host, signal, record }),
    ).rejects.toMatchObject({
      code: 'GUEST_NO_FORWARD',
      fix: { en: expect.stringContaining('NARU_VMREST') as string },
    })
    expect(record.written).toEqual([])
  })
})

it('without rights the command that does the same is told, and nothing is touched', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-vmware-'))
  const networking = join(folder, 'networking')
  writeFileSync(networking, 'VERSION=1,0\n', { mode: 0o444 })
  const place = { platform: 'linux', vmrun: 'vmrun', inventory: '', networking, mayRestart: true } as const
  const side = toolsSide(place, new FakeRunner(() => ''))
  const asRoot = process.getuid?.() === 0
  try {
    if (asRoot) process.seteuid?.(65_534)
    const wanted = {
      address: '192.168.79.128',
      protocol: 'tcp',
      guestPorts: { first: 80, last: 80 },
    } as const
    await expect(side.permitted?.('vmnet8', wanted)).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
      params: {
        command: `sudo sh -c 'echo '\\''add_nat_portfwd 8 tcp 10080 192.168.79.128 80'\\'' >> ${networking} && vmware-networks --migrate-network-settings ${networking} && vmware-networks --stop && vmware-networks --start'`,
      },
    })
  } finally {
    if (asRoot) process.seteuid?.(0)
    rmSync(folder, { recursive: true })
  }
})

it('vmrun, the inventory and a .vmx file are read as VMware writes them', () => {
  expect(parseVmrunList('Total running VMs: 2\r\nC:\\VMs\\a b\\a.vmx\r\n/vms/c.VMX\r\n')).toEqual([
    'C:\\VMs\\a b\\a.vmx',
    '/vms/c.VMX',
  ])
  expect([
    ...parseInventory(
      '.encoding = "UTF-8"\nvmlist1.config = "/vms/a.vmx"\nvmlist1.DisplayName = "웹 서버"\nvmlist2.config = ""\n',
    ),
  ]).toEqual([['/vms/a.vmx', '웹 서버']])
  expect(
    parseVmx(
      'ethernet0.present = "TRUE"\nethernet0.connectionType = "custom"\nethernet0.vnet = "/dev/vmnet2"\nethernet0.address = "00:50:56:AA:BB:CC"\n',
    ),
  ).toEqual([{ type: 'custom', vmnet: 'vmnet2', mac: '00:50:56:aa:bb:cc' }])
})

describe.runIf(process.platform === 'linux')('files that a VM’s owner chose', () => {
  it('a FIFO, and what is larger than VMware writes, read as empty', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'naru-vmx-'))
    execFileSync('mkfifo', [join(folder, 'fifo.vmx')])
    writeFileSync(join(folder, 'huge.vmx'), Buffer.alloc(2 << 20, 0x20))
    writeFileSync(join(folder, 'usual.vmx'), 'displayName = "win10"\n')
    const read = ['fifo', 'huge', 'usual', 'missing'].map((name) => textOf(join(folder, `${name}.vmx`)))
    expect(await Promise.all(read)).toEqual(['', '', 'displayName = "win10"\n', ''])
    rmSync(folder, { recursive: true })
  })

  it.runIf(process.getuid?.() === 0)('as root the inventory is not looked for in another user’s home', () => {
    const home = mkdtempSync(join(tmpdir(), 'naru-home-'))
    expect(usualPlace('linux', { HOME: home }).inventory).toBe(join(home, '.vmware/inventory.vmls'))
    chownSync(home, 65_534, 65_534)
    expect(usualPlace('linux', { HOME: home }).inventory).toBe(
      join(userInfo().homedir, '.vmware/inventory.vmls'),
    )
    rmSync(home, { recursive: true })
  })
})
