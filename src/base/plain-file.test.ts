import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readPlainFile } from './plain-file.ts'

const onLinux = it.runIf(process.platform === 'linux')

it('reads a file whole, up to so many bytes', async () => {
  await using folder = await temporary()
  const path = join(folder.path, 'file')
  for (const length of [0, 1, 4096, 4097, 10_000]) {
    await writeFile(path, 'x'.repeat(length))
    expect(String(await readPlainFile(path, 10_000))).toBe('x'.repeat(length))
  }
  await writeFile(path, 'x'.repeat(10_001))
  await expect(readPlainFile(path, 10_000)).rejects.toThrow('it has 10001 bytes; the most is 10000')
  await expect(readPlainFile(folder.path, 10_000)).rejects.toMatchObject({ code: 'EISDIR' })
  await expect(readPlainFile(join(folder.path, 'none'), 10_000)).rejects.toMatchObject({ code: 'ENOENT' })
})

onLinux('waits for nobody at a FIFO, and reads nothing without end', async () => {
  await using folder = await temporary()
  const path = join(folder.path, 'fifo')
  execFileSync('mkfifo', [path])
  await expect(readPlainFile(path, 10_000)).rejects.toThrow('it is no file but a pipe')
  for (const [name, at, why] of [
    ['device', '/dev/zero', 'it is no file but a pipe, a socket or a device'],
    ['endless', '/proc/kallsyms', 'the most is 10000'],
  ] as const) {
    await symlink(at, join(folder.path, name))
    await expect(readPlainFile(join(folder.path, name), 10_000)).rejects.toThrow(why)
  }
})

onLinux('reads what has no size of its own', async () => {
  expect(String(await readPlainFile('/proc/self/status', 100_000))).toContain('VmRSS')
})

async function temporary(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'naru-plain-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}
