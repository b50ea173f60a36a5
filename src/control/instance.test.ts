import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { abandoned, claim, instanceIdOf, running } from './instance.ts'

let root: string
beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'naru-instance-'))))
afterEach(() => rm(root, { recursive: true }))

describe('one Naru a file', () => {
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
    expect(await readdir(join(root, 'a'))).toEqual(['lock'])
  })

  it('a pid that was given to another process holds nothing', async () => {
    await mkdir(join(root, 'a'))
    await writeFile(
      join(root, 'a', 'lock'),
      JSON.stringify({ pid: process.pid, started: 'another boot', file: null, socket: '', web: null }),
    )
    await claim(root, 'a', null)
  })

  it('the same file by two paths is one', async () => {
    await writeFile(join(root, 'f'), '')
    expect(await instanceIdOf(join(root, 'f'))).toBe(await instanceIdOf(join(root, '.', 'x', '..', 'f')))
  })
})
