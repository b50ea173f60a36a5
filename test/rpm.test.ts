/** The RPM: what is in it, that an upgrade keeps what a person wrote, and that the same commit gives the same bytes. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from './built.ts'
import { describeWith } from './needs.ts'

interface Packaging {
  readonly rpm: (options: Readonly<Record<string, unknown>>) => Promise<void>
}

describeWith({ platform: 'linux', root: true, commands: ['rpm', 'rpmbuild'] }, 'the RPM', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-rpm-test-'))
  const [first, second, next] = ['1.rpm', '2.rpm', 'next.rpm'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  /** Stands for `/` of a machine with nothing else: neither dependencies nor systemd. */
  const machine = join(folder, 'machine')
  const rpm = (...words: string[]): string => execFileSync('rpm', words, { encoding: 'utf8', stdio: 'pipe' })
  const there = (...words: string[]): string => rpm('--root', machine, '--nodeps', '--noscripts', ...words)
  const rules = join(machine, 'etc/naru/naru.yaml')

  beforeAll(async () => {
    await built()
    mkdirSync(machine)
    // In place of the program, which takes a minute to press.
    const program = join(folder, 'naru')
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 })
    const path = join(import.meta.dirname, '../packaging/rpm.mjs')
    const packaging = (await import(path)) as Packaging
    const given = { target: 'linux-x64', program, licences: 'MIT', maintainer: 'A <a@example.org>' }
    for (const [file, version] of [
      [first, '1.2.3'],
      [second, '1.2.3'],
      [next, '1.2.4'],
    ])
      await packaging.rpm({ ...given, version, file, seconds: 1_700_000_000 })
  }, 120_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('has the same bytes each time, and everything in it is root’s', () => {
    expect(readFileSync(first).equals(readFileSync(second))).toBe(true)
    const listed = rpm('-qp', '--qf', '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]', first)
    expect(
      listed
        .trim()
        .split('\n')
        .filter((line) => !/^[-d]rw[-x]r-[-x]r-[-x] root \//.test(line)),
    ).toEqual([])
  })

  it('starts the program that it brings, and its scripts are a shell’s', () => {
    there('--install', first)
    expect(readFileSync(join(machine, 'usr/lib/systemd/system/naru.service'), 'utf8')).toContain(
      'ExecStart=/usr/bin/naru up --config /etc/naru/naru.yaml\n',
    )
    expect(existsSync(join(machine, 'usr/bin/naru'))).toBe(true)
    for (const script of ['POSTIN', 'PREUN', 'POSTUN'])
      execFileSync('sh', ['-n'], { input: rpm('-qp', '--qf', `%{${script}}`, first) })
  })

  it('keeps the rules of a person in an upgrade and at its end', () => {
    appendFileSync(rules, '# mine\n')
    there('--upgrade', next)
    expect(readFileSync(rules, 'utf8')).toContain('# mine')
    there('--erase', 'naru')
    expect(existsSync(join(machine, 'usr/bin/naru'))).toBe(false)
    expect(readFileSync(`${rules}.rpmsave`, 'utf8')).toContain('# mine')
  })
})
