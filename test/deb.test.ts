/** The Debian package: what is in it, who owns it, and that the same commit gives the same bytes. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from './built.ts'
import { describeWith } from './needs.ts'

interface Packaging {
  readonly deb: (options: Readonly<Record<string, unknown>>) => Promise<void>
}

describeWith({ platform: 'linux', commands: ['dpkg-deb', 'tar'] }, 'the Debian package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-deb-test-'))
  const [first, second, tree] = ['1.deb', '2.deb', 'tree'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const read = (path: string): string => readFileSync(join(tree, path), 'utf8')

  beforeAll(async () => {
    await built()
    // In place of the program, which takes a minute to press.
    const program = join(folder, 'naru')
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 })
    const path = join(import.meta.dirname, '../packaging/deb.mjs')
    const { deb } = (await import(path)) as Packaging
    const given = { target: 'linux-x64', program, licences: 'MIT', version: '1.2.3' }
    for (const file of [first, second])
      await deb({ ...given, file, maintainer: 'A <a@example.org>', seconds: 1_700_000_000 })
    execFileSync('dpkg-deb', ['--raw-extract', first, tree])
  }, 120_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('has the same bytes each time, and everything in it is root’s', () => {
    expect(readFileSync(first).equals(readFileSync(second))).toBe(true)
    const listed = execFileSync('dpkg-deb', ['--contents', first], { encoding: 'utf8' }).trim().split('\n')
    expect(listed.filter((line) => !/^[-d]rw[-x]r-[-x]r-[-x] root\/root /.test(line))).toEqual([])
  })

  it('is of this version, and keeps what a person wrote into its files', () => {
    expect(read('DEBIAN/control')).toMatch(/^Package: naru\nVersion: 1\.2\.3\nArchitecture: amd64\n/)
    expect(read('DEBIAN/conffiles')).toBe('/etc/naru/naru.yaml\n/etc/default/naru\n')
  })

  it('starts the program that it brings, and hands over in an upgrade', () => {
    expect(read('lib/systemd/system/naru.service')).toContain(
      'ExecStart=/usr/bin/naru up --config /etc/naru/naru.yaml\n',
    )
    expect(read('DEBIAN/postinst')).toContain('deb-systemd-invoke reload naru.service')
    for (const script of ['postinst', 'prerm', 'postrm'])
      execFileSync('sh', ['-n', join(tree, 'DEBIAN', script)])
  })

  it('has a manual of every command', () => {
    const manual = execFileSync('zcat', [join(tree, 'usr/share/man/man1/naru.1.gz')], { encoding: 'utf8' })
    for (const verb of ['open', 'up', 'add', 'doctor', 'service install'])
      expect(manual).toContain(`.SS naru ${verb}`)
  })
})
