import { execFileSync } from 'node:child_process'
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { replaceFile } from './replace-file.ts'

const onLinux = it.runIf(process.platform === 'linux')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'naru-replace-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

onLinux('replaces the file that a link leads to, and the link stays', async () => {
  const [file, link] = [join(folder, 'file'), join(folder, 'link')]
  writeFileSync(file, 'old', { mode: 0o600 })
  symlinkSync(file, link)
  await replaceFile(link, 'new')
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  expect([readFileSync(file, 'utf8'), lstatSync(file).mode & 0o777]).toEqual(['new', 0o600])
})

onLinux('never puts a file in the place of a device or a pipe, also where a link leads to it', async () => {
  const [pipe, link] = [join(folder, 'pipe'), join(folder, 'link')]
  execFileSync('mkfifo', [pipe])
  symlinkSync(pipe, link)
  for (const path of [pipe, link])
    await expect(replaceFile(path, 'text'), path).rejects.toThrow(
      'it is no file but a pipe, a socket or a device',
    )
  expect(lstatSync(pipe).isFIFO()).toBe(true)
  expect(readdirSync(folder).toSorted()).toEqual(['link', 'pipe'])
})
