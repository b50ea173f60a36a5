import { describe, expect, it } from 'vitest'
import { mustNotLeaveService } from './sd-notify.ts'

const machine =
  (environ: string, cgroup: string) =>
  (path: string): Promise<string> =>
    Promise.resolve(path.endsWith('/environ') ? environ : path.endsWith('/cgroup') ? cgroup : '')
const ofService = 'PATH=/bin\0NOTIFY_SOCKET=/run/systemd/notify\0'

describe('one that takes the place of a service’s main process', () => {
  it.each([
    ['cgroup v2', '0::/system.slice/naru.service\n'],
    ['both', '12:pids:/system.slice/naru.service\n1:name=systemd:/system.slice/naru.service\n0::/\n'],
  ])('is started by the service manager, or it would leave the service (%s)', async (_, cgroup) => {
    const read = machine(ofService, cgroup)
    await expect(mustNotLeaveService({ pid: 7 }, { env: {}, read })).rejects.toMatchObject({
      code: 'HELD_BY_SERVICE',
      fix: { en: expect.stringContaining('systemctl reload naru.service') as string },
    })
    const env = { NOTIFY_SOCKET: '/run/systemd/notify' }
    await expect(mustNotLeaveService({ pid: 7 }, { env, read })).resolves.toBeUndefined()
  })

  it('is reloaded by the user’s own manager where that started it', async () => {
    const read = machine(
      ofService,
      '0::/user.slice/user-1000.slice/user@1000.service/app.slice/naru.service\n',
    )
    await expect(mustNotLeaveService({ pid: 7 }, { env: {}, read })).rejects.toMatchObject({
      fix: { en: expect.stringContaining('`systemctl --user reload naru.service`') as string },
    })
  })

  it.each([
    ['a terminal', 'PATH=/bin\0', '0::/user.slice/user-0.slice/session-1.scope\n'],
    ['cron, which is a service that is not notified', 'PATH=/bin\0', '0::/system.slice/cron.service\n'],
    ['nobody that is there', '', ''],
  ])('may be started by hand where %s started the one before', async (_, environ, cgroup) => {
    const read = machine(environ, cgroup)
    await expect(mustNotLeaveService({ pid: 7 }, { env: {}, read })).resolves.toBeUndefined()
  })
})
