import { describe, expect, it } from 'vitest'
import { instanceIdOf } from './instance.ts'
import { mustNotBeRoots } from './roots.ts'

const file = '/etc/naru/naru.yaml'
const socketAt = (path: string) => (): Promise<string> =>
  Promise.resolve(
    `Num       RefCount Protocol Flags    Type St Inode Path\n` +
      `000000005f0f2d5a: 00000003 00000000 00000000 0001 03 12345\n` +
      `00000000790c6458: 00000002 00000000 00010000 0001 01 58200165 ${path}\n`,
  )

describe.skipIf(process.platform === 'win32')('a file whose rules root’s Naru carries', () => {
  it.each(['api', 'api+'])('is no file on which nothing runs, for another user (%s)', async (name) => {
    const sockets = socketAt(`/var/lib/naru/${await instanceIdOf(file)}/${name}`)
    await expect(mustNotBeRoots(file, { uid: 1000, sockets })).rejects.toMatchObject({
      code: 'RUNS_AS_ROOT',
      fix: { en: expect.stringContaining('sudo env "PATH=$PATH"') as string },
    })
    await expect(mustNotBeRoots(file, { uid: 0, sockets })).resolves.toBeUndefined()
  })

  it('is known by its name alone: root’s Naru on another file, or nothing, is no obstacle', async () => {
    const id = await instanceIdOf(file)
    for (const path of [
      '/var/lib/naru/0123456789ab/api',
      `/tmp/naru/${id}/api`,
      `/var/lib/naru/${id}/api.place`,
    ])
      await expect(mustNotBeRoots(file, { uid: 1000, sockets: socketAt(path) })).resolves.toBeUndefined()
    await expect(
      mustNotBeRoots(file, { uid: 1000, sockets: () => Promise.resolve('') }),
    ).resolves.toBeUndefined()
  })
})
