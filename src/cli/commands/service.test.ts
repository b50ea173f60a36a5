import { beforeEach, describe, expect, it } from 'vitest'
import { fakeDeps, naru, FakeIo } from '../../../test/fakes/io.ts'
import { FakeNaru } from '../../../test/fakes/naru.ts'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { SystemService, ServiceRequest, ServiceStatus } from '../../model/service.ts'
import type { CliDeps } from '../deps.ts'

/** A system that remembers what it was asked. */
class FakeService implements SystemService {
  readonly id = 'fake'
  readonly where = '/fake/naru.service'
  readonly defaultFile = '/etc/naru/naru.yaml'
  undoesAtEnd = true
  readonly asked: string[] = []
  request: ServiceRequest | null = null
  found: NaruError[] = []
  now: ServiceStatus = {
    manager: 'fake',
    where: this.where,
    installed: true,
    enabled: true,
    running: true,
    pid: 812,
  }

  definition = (request: ServiceRequest): Promise<string> => Promise.resolve(`up --config ${request.file}\n`)
  doubts = (): Promise<NaruError[]> => Promise.resolve(this.found)
  install = (request: ServiceRequest): Promise<void> => {
    this.request = request
    this.asked.push('install')
    return Promise.resolve()
  }
  status = (): Promise<ServiceStatus> => Promise.resolve(this.now)
  uninstall = (): Promise<boolean> => {
    this.asked.push('uninstall')
    return Promise.resolve(this.now.installed)
  }
}

describe('naru service', () => {
  let service: FakeService
  beforeEach(() => (service = new FakeService()))
  /** The one that the system started. */
  const served = (): FakeNaru => {
    const daemon = new FakeNaru()
    daemon.aboutNow = { ...daemon.aboutNow, pid: 812 }
    return daemon
  }
  const deps = (daemon: FakeNaru | null = null): CliDeps =>
    fakeDeps(daemon, { service: () => Promise.resolve(service) })
  const doubt = (): NaruError =>
    new NaruError('UNTRUSTED_PATH', {
      path: '/opt/naru',
      why: say('others may write', '다른 사용자가 쓸 수 있음'),
      mend: say('chmod', 'chmod'),
    })

  it('is installed with what started this one, and says how to look and to take it away', async () => {
    const { exit, talk } = await naru('service install --api off', deps(served()))
    expect(exit).toBe(0)
    expect(service.request).toEqual({
      command: ['/usr/bin/node', '/opt/naru/dist/main.js'],
      file: '/etc/naru/naru.yaml',
      api: 'off',
      force: false,
    })
    expect(talk[0]).toBe('installed: /fake/naru.service. It runs, and starts with the machine')
    expect(talk[2]).toContain('naru service uninstall')
  })

  it('is not said to run where nobody serves: a file that is wrong, a port that is taken', async () => {
    service.install = () => {
      service.now = { ...service.now, running: false, pid: null }
      return Promise.resolve()
    }
    const { exit, talk } = await naru('service install', deps())
    expect(exit).toBe(1)
    expect(talk.join('\n')).toContain('does not serve')
    expect(talk.join('\n')).toContain('journalctl')
  })

  it('leaves alone what a person started on that file, and says what goes on', async () => {
    service.now = { ...service.now, running: false, pid: null }
    const daemon = served()
    const installed = await naru('service install', deps(daemon))
    expect([installed.exit, service.asked]).toEqual([1, []])
    expect(installed.talk.join('\n')).toContain('naru stop')
    const taken = await naru('service uninstall', deps(daemon))
    expect([taken.exit, service.asked]).toEqual([1, ['uninstall']])
    expect(taken.talk.join('\n')).toMatch(/pid 812.*stays open/)
    service.now = { ...service.now, installed: false }
    expect((await naru('service uninstall', deps(daemon))).exit).toBe(0)
  })

  it('is only shown with --print', async () => {
    const { exit, out } = await naru('service install --print -c /srv/naru.yaml', deps())
    expect([exit, out]).toEqual([0, ['up --config /srv/naru.yaml']])
    expect(service.asked).toEqual([])
  })

  it('is not installed where another user may write what it starts, unless that is said to be meant', async () => {
    service.found = [doubt()]
    expect((await naru('service install', deps())).exit).toBe(4)
    expect(service.asked).toEqual([])
    expect((await naru('service install --print', deps())).talk.join('\n')).toContain('others may write')
    expect((await naru('service install --force', deps(served()))).exit).toBe(0)
    expect(service.request?.force).toBe(true)
  })

  it('tells whether it runs: exit code 0 where it does', async () => {
    const runs = await naru('service status', deps())
    expect(runs).toMatchObject({
      exit: 0,
      out: ['runs (pid 812), starts with the machine: /fake/naru.service'],
    })
    service.now = { ...service.now, running: false, pid: null, enabled: false }
    const stopped = await naru('service status', deps())
    expect(stopped.out).toEqual(['does not run, does not start with the machine: /fake/naru.service'])
    expect(stopped.exit).toBe(1)
    service.now = { ...service.now, installed: false }
    expect(await naru('service status', deps())).toMatchObject({
      exit: 1,
      out: ['not installed: `naru service install`'],
    })
  })

  it('asks the daemon where the system does not tell', async () => {
    service.now = { ...service.now, running: null, pid: null }
    expect((await naru('service status', deps())).exit).toBe(1)
    expect((await naru('service status', deps(new FakeNaru()))).exit).toBe(0)
  })

  it('is taken away; where none is there it says so', async () => {
    expect((await naru('service uninstall', deps())).talk[0]).toMatch(/^taken away: \/fake\/naru.service/)
    service.now = { ...service.now, installed: false }
    expect((await naru('service uninstall', deps())).talk[0]).toMatch(/^nothing to take away/)
  })

  it('undoes what a service that was killed left open, and says that nothing is left only where that is so', async () => {
    const asked: string[] = []
    const left = new NaruError('NOT_UNDONE', { left: 'web: firewall' })
    const over = {
      undoLeftOvers: ({ tell }: Parameters<CliDeps['undoLeftOvers']>[0]) => {
        asked.push('undo')
        tell(say('undone: web: firewall', '되돌림: web: 방화벽'))
        return Promise.resolve()
      },
      mustBeUndone: () => (asked.push('look'), Promise.resolve()),
    }
    const { exit, talk } = await naru('service uninstall', { ...deps(), ...over })
    expect([exit, asked, talk[0]]).toEqual([0, ['undo', 'look'], 'undone: web: firewall'])
    const mustBeUndone = (): Promise<never> => Promise.reject(left)
    const open = await naru('service uninstall', { ...deps(), ...over, mustBeUndone })
    expect(open.exit).toBe(1)
    expect(open.talk.join('\n')).not.toContain('taken away')
  })

  it('lets the daemon undo what it opened first, where the system would kill it', async () => {
    service.undoesAtEnd = false
    const daemon = new FakeNaru()
    Object.assign(daemon, {
      about: () =>
        daemon.stopped
          ? Promise.reject(new NaruError('NOT_RUNNING', { file: '/etc/naru/naru.yaml' }))
          : Promise.resolve(daemon.aboutNow),
    })
    const uninstall = service.uninstall
    service.uninstall = () => {
      expect(daemon.stopped).not.toBeNull()
      return uninstall()
    }
    expect((await naru('service uninstall', deps(daemon))).exit).toBe(0)
    expect(service.asked).toEqual(['uninstall'])
  })

  it('says so where Naru knows no way', async () => {
    const io = new FakeIo()
    io.platform = 'freebsd'
    expect((await naru('service install', fakeDeps(null), io)).exit).toBe(2)
    expect(io.stderr.text).toContain('freebsd')
  })
})
