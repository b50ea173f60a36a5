import { fork } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeWith } from '../../test/needs.ts'
import { Journal } from './journal.ts'
import {
  abandoned,
  claim,
  holderOf,
  instanceIdOf,
  instanceOf,
  running,
  stateRoot,
  succeed,
} from './instance.ts'

let root: string
beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'naru-instance-'))))
afterEach(() => rm(root, { recursive: true }))

describe('one Naru a file', () => {
  it('that lets go while it announces itself leaves no lock, nor does one that was only promised the place', async () => {
    const first = await claim(root, 'x', null)
    const announcing = first.announce('http://127.0.0.1:1/')
    await Promise.all([first.release(), announcing])
    await first.announce(null)
    expect(await readdir(first.folder)).not.toContain('lock')
    const before = await claim(root, 'x', null)
    const next = succeed(root, 'x', before.holder)
    await before.passOn()
    await next.release()
    await next.announce(null)
    const named = JSON.parse(await readFile(join(before.folder, 'lock'), 'utf8')) as { socket: string }
    expect(named.socket).toBe(before.holder.socket)
  })

  it('the second is told where the first is', async () => {
    const first = await claim(root, 'a', '/etc/naru.yaml')
    await expect(claim(root, 'a', '/etc/naru.yaml')).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      params: { pid: process.pid },
    })
    expect(await running(root)).toMatchObject([{ file: '/etc/naru.yaml' }])
    await first.release()
    await (await claim(root, 'a', null)).release({ forget: true })
    expect(await readdir(root)).toEqual([])
  })

  it('a dead one’s folder is found, and taken over by exactly one of many', async () => {
    const child = fork('-e', [], { execArgv: ['-e', '0'], stdio: 'ignore' })
    await once(child, 'exit')
    await mkdir(join(root, 'a'))
    await writeFile(
      join(root, 'a', 'lock'),
      JSON.stringify({ pid: child.pid, started: 'x', file: null, socket: '', web: null }),
    )
    expect(await abandoned(root)).toEqual(['a'])
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => claim(root, 'a', null)))
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await abandoned(root)).toEqual([])
    // Beside the lock lies what tells another PID namespace that its holder lives.
    expect((await readdir(join(root, 'a'))).filter((name) => !/^l[\da-f]{8}$/.test(name))).toEqual(['lock'])
  })

  it.runIf(process.platform === 'linux')(
    'a pid of another PID namespace says nothing: who answers there lives, who does not is dead',
    async () => {
      const holder = await claim(root, 'a', '/etc/naru.yaml')
      const lock = join(root, 'a', 'lock')
      const written = JSON.parse(await readFile(lock, 'utf8')) as object
      // There, it is the pid of somebody who ended, or of nobody.
      const elsewhere = { ...written, pid: 2 ** 30, started: 'x', pidNamespace: 'pid:[1]' }
      await writeFile(lock, JSON.stringify(elsewhere))
      expect(await running(root)).toMatchObject([{ file: '/etc/naru.yaml' }])
      expect(await abandoned(root)).toEqual([])
      await expect(claim(root, 'a', null)).rejects.toMatchObject({ code: 'ALREADY_RUNNING' })
      await holder.release()
      await writeFile(lock, JSON.stringify(elsewhere))
      expect(await abandoned(root)).toEqual(['a'])
      await (await claim(root, 'a', null)).release({ forget: true })
      expect(await readdir(root)).toEqual([])
    },
  )

  it('a pid that was given to another process holds nothing', async () => {
    await mkdir(join(root, 'a'))
    await writeFile(
      join(root, 'a', 'lock'),
      JSON.stringify({ pid: process.pid, started: 'another boot', file: null, socket: '', web: null }),
    )
    await claim(root, 'a', null)
  })

  it('stays a file’s when what the file’s link leads to is swapped, and is found by either path', async () => {
    const file = join(root, 'naru.yaml')
    for (const version of ['one', 'two']) await writeFile(join(root, version), '')
    await symlink(join(root, 'one'), file)
    const { id } = await instanceOf(root, file)
    const first = await claim(root, id, file)
    for (const path of [file, join(root, 'one')])
      expect(await instanceOf(root, path)).toMatchObject({ id, holder: { pid: process.pid } })
    await unlink(file)
    await symlink(join(root, 'two'), file)
    for (const path of [file, join(root, 'two')])
      expect(await instanceOf(root, path)).toMatchObject({ id, holder: { pid: process.pid } })
    await first.release()
    expect((await instanceOf(root, file)).holder).toBeNull()
  })

  it('with something left in its journal is found without a lock, and not forgotten', async () => {
    const instance = await claim(root, 'a', null)
    const journal = await Journal.open(instance.journalPath)
    await journal.recorder({ rule: 'web', hop: 'router', member: 'upnp' }).intend(1)
    await journal.close()
    await instance.release({ forget: true })
    expect(await abandoned(root)).toEqual(['a'])
  })

  it('the same file by two paths is one', async () => {
    await writeFile(join(root, 'f'), '')
    expect(await instanceIdOf(join(root, 'f'))).toBe(await instanceIdOf(join(root, '.', 'x', '..', 'f')))
  })
})

describe.skipIf(process.platform === 'win32')('where a state folder lies deep', () => {
  it('its sockets lie in a new folder that only its user enters, named by the lock and gone with it', async () => {
    const deep = join(root, 'd'.repeat(90))
    const instance = await claim(deep, 'a', null)
    const { socket } = (await holderOf(deep, 'a')) ?? { socket: '' }
    expect(socket.length).toBeLessThan(100)
    expect((await stat(dirname(socket))).mode & 0o777).toBe(0o700)
    await instance.release()
    await expect(stat(dirname(socket))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describeWith({ root: true, platform: 'linux' }, 'as root, a state folder', () => {
  const someone = 65_533
  const untrusted = { code: 'UNTRUSTED_PATH', exitCode: 4 }

  it('that another user owns is refused, and so is one inside of his', async () => {
    await chown(root, someone, someone)
    expect(() => stateRoot({ NARU_STATE: root })).toThrow(expect.objectContaining(untrusted))
    await expect(claim(join(root, 'deeper'), 'a', null)).rejects.toMatchObject(untrusted)
    expect(await readdir(root)).toEqual([])
  })

  it('that holds another user’s journal or tokens is refused, with the command that mends it', async () => {
    for (const name of ['journal', 'tokens', 'lock', 'api']) {
      await mkdir(join(root, name))
      await writeFile(join(root, name, name), '')
      await chown(join(root, name, name), someone, someone)
      const fix = expect.stringContaining(`chown -h root:root ${join(root, name, name)}`) as string
      await expect(claim(root, name, null)).rejects.toMatchObject({ ...untrusted, fix: { en: fix } })
    }
  })

  it('in a folder where everybody may make one counts only where it is root’s', async () => {
    await chmod(root, 0o1777)
    await mkdir(join(root, 'a'))
    const living = { pid: process.pid, started: null, file: '/f', socket: '/x', web: null }
    await writeFile(join(root, 'a', 'lock'), JSON.stringify(living))
    expect(await running(root)).toHaveLength(1)
    await chown(join(root, 'a'), someone, someone)
    expect(await running(root)).toEqual([])
    expect(await holderOf(root, 'a')).toBeNull()
  })

  it('is never the one that another user’s environment names', async () => {
    await chown(root, someone, someone)
    expect(stateRoot({ XDG_STATE_HOME: root })).toBe('/var/lib/naru')
  })
})
