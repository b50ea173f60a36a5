import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeRunner, type Answering } from '../../test/fakes/host.ts'
import type { ServiceRequest } from '../model/service.ts'
import { parseXml } from '../routers/upnp/xml.ts'
import { launchd, launchdPlist } from './launchd.ts'
import { systemd } from './systemd/systemd.ts'
import { systemdUnit } from './systemd/unit.ts'
import { taskScheduler, taskXml } from './task-scheduler.ts'

let folder: string
let request: ServiceRequest
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'naru-service-'))
  request = {
    command: ['/usr/bin/node', '/opt/naru/dist/main.js'],
    file: join(folder, 'naru/naru.yaml'),
    api: null,
    force: false,
  }
})
afterEach(() => rmSync(folder, { recursive: true }))

const system = (answer: Answering = () => ''): { runner: FakeRunner; signal: AbortSignal } => ({
  runner: new FakeRunner(answer),
  signal: new AbortController().signal,
})

describe('systemd', () => {
  const booted = (): ReturnType<typeof systemd> => {
    mkdirSync(join(folder, 'run'), { recursive: true })
    return systemd({ unit: join(folder, 'naru.service'), booted: join(folder, 'run') })
  }

  it('writes the unit and the folder of the rules, then enables and starts it', async () => {
    const service = booted()
    const to = system()
    const asleep = system((argv) => ({ exit: argv.includes('is-active') ? 3 : 0 }))
    await service.install(request, asleep)
    expect(readFileSync(service.where, 'utf8')).toBe(await service.definition(request))
    expect(existsSync(join(folder, 'naru'))).toBe(true)
    expect(asleep.runner.ran).toEqual([
      'systemctl daemon-reload',
      'systemctl --quiet enable naru.service',
      'systemctl --quiet is-active naru.service',
      'systemctl start naru.service',
    ])
    await service.install(request, to)
    expect(to.runner.ran.at(-1), 'one that runs is handed over').toBe('systemctl reload naru.service')
  })

  it('says what Naru said where it does not start', async () => {
    const failing = system((argv) => {
      if (argv[0] === 'journalctl') return '/etc/naru/naru.yaml:1: rules: must be a map\n'
      if (argv.includes('is-active')) return { exit: 3 }
      return argv.includes('start') ? { exit: 1, stderr: 'Job for naru.service failed.' } : ''
    })
    await expect(booted().install(request, failing)).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
      message: expect.stringContaining('must be a map') as string,
    })
  })

  it('without systemd says so, and what to do instead, before it writes anything', async () => {
    const service = systemd({ unit: join(folder, 'naru.service'), booted: join(folder, 'none') })
    const to = system()
    await expect(service.install(request, to)).rejects.toMatchObject({ code: 'SERVICE_MANAGER_MISSING' })
    expect(existsSync(service.where)).toBe(false)
    expect(await service.status(to)).toMatchObject({ installed: false, running: false })
    expect(to.runner.ran).toEqual([])
  })

  it('tells what runs, also of a package’s unit', async () => {
    const shown = [
      'LoadState=loaded',
      'FragmentPath=/lib/systemd/system/naru.service',
      'UnitFileState=enabled',
      'ActiveState=active',
      'MainPID=812',
    ]
    expect(await booted().status(system(() => `${shown.join('\n')}\n`))).toEqual({
      manager: 'systemd',
      where: '/lib/systemd/system/naru.service',
      installed: true,
      enabled: true,
      running: true,
      pid: 812,
    })
  })

  it('is taken away whole, and the rules stay', async () => {
    const service = booted()
    const to = system()
    await service.install(request, to)
    writeFileSync(request.file ?? '', 'rules: {}\n')
    expect(await service.uninstall(to)).toBe(true)
    expect(to.runner.ran.slice(-2)).toEqual([
      'systemctl --quiet disable --now naru.service',
      'systemctl daemon-reload',
    ])
    expect(existsSync(service.where)).toBe(false)
    expect(existsSync(request.file ?? '')).toBe(true)
    expect(await service.uninstall(to)).toBe(false)
  })

  it.skipIf(process.platform === 'win32')('leaves an administrator’s mask as it is', async () => {
    const service = booted()
    const to = system()
    symlinkSync('/dev/null', service.where)
    for (const force of [false, true])
      await expect(service.install({ ...request, force }, to)).rejects.toMatchObject({
        code: 'SERVICE_NOT_OURS',
        fix: { en: expect.stringContaining('systemctl unmask naru') as string },
      })
    expect(await service.uninstall(to)).toBe(false)
    expect(readlinkSync(service.where)).toBe('/dev/null')
    expect(to.runner.ran).toEqual([])
  })

  it('leaves a unit that another wrote, and writes over it only by one’s word', async () => {
    const service = booted()
    const to = system()
    const theirs = '[Unit]\nDescription=mine\n[Service]\nExecStart=/usr/local/bin/naru up\n'
    writeFileSync(service.where, theirs)
    await expect(service.install(request, to)).rejects.toMatchObject({ code: 'SERVICE_NOT_OURS' })
    await expect(service.uninstall(to)).rejects.toMatchObject({ code: 'SERVICE_NOT_OURS' })
    expect(readFileSync(service.where, 'utf8')).toBe(theirs)
    expect(to.runner.ran).toEqual([])
    await service.install({ ...request, force: true }, to)
    expect(readFileSync(service.where, 'utf8')).toBe(await service.definition({ ...request, force: true }))
  })

  it('stays where it does not stop', async () => {
    const service = booted()
    await service.install(request, system())
    const stuck = system(() => ({ exit: 1, stderr: 'timed out' }))
    await expect(service.uninstall(stuck)).rejects.toMatchObject({ code: 'COMMAND_FAILED' })
    expect(existsSync(service.where)).toBe(true)
  })

  it('has three capabilities and few places to write', () => {
    const unit = systemdUnit({ command: request.command, file: '/srv/naru/naru.yaml', api: 'off' })
    const last = '--config /srv/naru/naru.yaml --api off'
    expect(unit).toContain(`ExecStart=/usr/bin/node /opt/naru/dist/main.js up ${last}`)
    expect(unit).toContain(
      `ExecReload=/usr/bin/node /opt/naru/dist/main.js up --replace --background ${last}`,
    )
    expect(unit).toContain('CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_BPF')
    expect(unit).toContain(
      'ReadWritePaths=-/srv/naru -/etc/ufw -/run/ufw.lock -/run/xtables.lock /proc/sys/net',
    )
  })

  it('is stopped by its main process alone, and not begun again with a file that is wrong', () => {
    const unit = systemdUnit({ command: ['/usr/bin/naru'], file: '/etc/naru/naru.yaml', api: null })
    for (const line of ['KillMode=mixed', 'Restart=on-failure', 'RestartPreventExitStatus=2'])
      expect(unit.split('\n')).toContain(line)
  })

  it('quotes what systemd would take apart', () => {
    const unit = systemdUnit({ command: ['/opt/my node/bin/node'], file: '/etc/na%ru/$x.yaml', api: null })
    expect(unit).toContain('ExecStart="/opt/my node/bin/node" up --config /etc/na%%ru/$$x.yaml\n')
    // Paths are no command lines: systemd.exec(5) has nothing that takes a `$` away again.
    const paths = systemdUnit({ command: ['/usr/bin/naru'], file: '/srv/$x y/naru.yaml', api: null })
    expect(paths).toContain('ReadWritePaths=-"/srv/$x y" -/etc/ufw')
  })

  it.skipIf(process.platform === 'win32')('doubts what another user may write', async () => {
    writeFileSync(join(folder, 'naru.yaml'), '')
    chmodSync(join(folder, 'naru.yaml'), 0o666)
    const open = { ...request, command: ['/usr/bin/env'], file: join(folder, 'naru.yaml') }
    expect(await booted().doubts(open)).toMatchObject([{ code: 'UNTRUSTED_PATH' }])
    expect(await booted().definition(open)).not.toContain('NARU_TRUST_FILE')
    expect(await booted().definition({ ...open, force: true })).toContain('NARU_TRUST_FILE=1')
  })
})

describe('launchd', () => {
  it('writes a property list, and starts it', async () => {
    const service = launchd({ plist: join(folder, 'naru.plist') })
    const to = system((argv) => ({ exit: argv.includes('print') ? 113 : 0 }))
    await service.install({ ...request, api: 'off' }, to)
    const text = readFileSync(service.where, 'utf8')
    // Without its DTD, which what reads strangers' XML refuses.
    expect(parseXml(text.replace(/<!DOCTYPE[^>]*>/, ''))).toBeTruthy()
    expect(text).toContain('<string>up</string>')
    expect(to.runner.ran).toEqual([
      'launchctl print system/naru',
      `launchctl bootstrap system ${service.where}`,
    ])
  })

  it('one that is loaded goes first, since it would not read the new one', async () => {
    const service = launchd({ plist: join(folder, 'naru.plist') })
    const to = system(() => '\tpid = 812\n')
    await service.install(request, to)
    expect(to.runner.ran.slice(1)).toEqual([
      'launchctl bootout system/naru',
      `launchctl bootstrap system ${service.where}`,
    ])
    expect(await service.status(to)).toMatchObject({ installed: true, running: true, pid: 812 })
    expect(await service.uninstall(to)).toBe(true)
    expect(existsSync(service.where)).toBe(false)
  })

  it('escapes what XML would take apart', () => {
    expect(launchdPlist({ ...request, command: ['/Users/a&b/<naru>'] })).toContain(
      '<string>/Users/a&amp;b/&lt;naru&gt;</string>',
    )
  })
})

describe('the Task Scheduler', () => {
  const env = { USERDOMAIN: 'HOME', USERNAME: 'kim', ProgramFiles: String.raw`C:\Program Files` }
  const program = String.raw`C:\Program Files\Naru\naru.exe`
  const windows: ServiceRequest = { command: [program], file: null, api: null, force: false }

  it('registers a task of the person who installs it, and starts it', async () => {
    let registered = ''
    const to = system((argv) => {
      if (argv[1] === '/Create') registered = readFileSync(argv[5] ?? '', 'utf16le')
      return ''
    })
    await taskScheduler(env).install(windows, to)
    expect(registered).toBe(`\uFEFF${taskXml(windows, env)}`)
    expect(parseXml(registered.slice(1))).toBeTruthy()
    expect(registered).toContain(String.raw`<UserId>HOME\kim</UserId>`)
    expect(registered).toContain(`<Command>${program}</Command>\n      <Arguments>up</Arguments>`)
    expect(to.runner.ran.map((line) => line.replace(/\S+naru\.xml/, 'FILE'))).toEqual([
      'schtasks /Create /TN Naru /XML FILE /F',
      'schtasks /Run /TN Naru',
    ])
  })

  it.each([
    [String.raw`C:\My Rules\naru.yaml`, String.raw`"C:\My Rules\naru.yaml"`],
    ['C:\\My Rules\\', String.raw`"C:\My Rules\\"`],
    ['a"b\\"c', String.raw`"a\"b\\\"c"`],
  ])('takes %s for one argument', (file, quoted) => {
    const text = taskXml({ ...windows, file, api: null }, env)
    expect(text).toContain(`--config ${quoted.replaceAll('"', '&quot;')}</Arguments>`)
  })

  it('without an administrator’s rights says so, in whatever language schtasks speaks', async () => {
    const to = system((argv) => ({
      exit: 1,
      stderr: argv[0] === 'schtasks' ? '오류: 액세스가 거부되었습니다.' : '',
    }))
    await expect(taskScheduler(env).install(windows, to)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  })

  it('doubts a program that lies where everybody writes', async () => {
    const of = async (...command: string[]): Promise<number> =>
      (await taskScheduler(env).doubts({ ...windows, command })).length
    expect(await of(program)).toBe(0)
    expect(await of(String.raw`c:\program files\nodejs\node.exe`, String.raw`C:\naru\dist\main.js`)).toBe(1)
    expect(await of(String.raw`C:\Program Files\..\naru\naru.exe`)).toBe(1)
    expect(await of(String.raw`C:\Program FilesX\naru.exe`)).toBe(1)
  })

  it('takes the task away; of none it says so', async () => {
    const there = system()
    expect(await taskScheduler(env).uninstall(there)).toBe(true)
    expect(there.runner.ran.at(-1)).toBe('schtasks /Delete /TN Naru /F')
    const gone = system(() => ({ exit: 1 }))
    expect(await taskScheduler(env).uninstall(gone)).toBe(false)
    expect(await taskScheduler(env).status(gone)).toMatchObject({ installed: false, running: null })
  })
})
