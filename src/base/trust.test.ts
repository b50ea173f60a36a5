import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeWith } from '../../test/needs.ts'
import { isOwn, whyUntrusted } from './trust.ts'

describe.skipIf(process.platform === 'win32')('a path that only this user and root can change', () => {
  let folder: string
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'naru-trust-'))))
  afterEach(() => rmSync(folder, { recursive: true }))
  const at = (...names: string[]): string => join(folder, ...names)
  const file = (mode: number, ...names: string[]): string => {
    writeFileSync(at(...names), '')
    chmodSync(at(...names), mode)
    return at(...names)
  }

  it('is trusted, also in /tmp, where everybody may make files of their own', () => {
    expect(whyUntrusted(file(0o644, 'f'))).toBeNull()
    expect(whyUntrusted(at('not', 'yet'))).toBeNull()
  })

  it('is not where others may write to it, and the command that mends it is told', () => {
    expect(whyUntrusted(file(0o646, 'it’s'))).toMatchObject({
      at: at('it’s'),
      command: `chmod go-w '${at('it’s')}'`,
    })
  })

  it('is not where others may write to a folder above, unless it is one like /tmp', () => {
    mkdirSync(at('open'))
    chmodSync(at('open'), 0o777)
    expect(whyUntrusted(at('open', 'f'))).toMatchObject({
      at: at('open'),
      command: `chmod go-w ${at('open')}`,
    })
    chmodSync(at('open'), 0o1777)
    expect(whyUntrusted(at('open', 'f'))).toBeNull()
  })

  it('is judged where its links lead', () => {
    mkdirSync(at('open'))
    chmodSync(at('open'), 0o777)
    symlinkSync('open/f', at('link'))
    symlinkSync('link', at('again'))
    expect(whyUntrusted(at('again'))).toMatchObject({ at: at('open') })
    symlinkSync('loop', at('loop'))
    expect(whyUntrusted(at('loop'))).toBeNull()
  })
})

describeWith({ root: true, platform: 'linux' }, 'as root, a path', () => {
  let folder: string
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'naru-trust-'))))
  afterEach(() => rmSync(folder, { recursive: true }))
  const someone = 65_533

  it('of another user is not trusted, nor one that he may take away', () => {
    const file = join(folder, 'f')
    writeFileSync(file, '')
    chownSync(file, someone, someone)
    expect(whyUntrusted(file)).toMatchObject({ at: file, command: `chown -h root:root ${file}` })
    chownSync(file, 0, 0)
    chownSync(folder, someone, someone)
    expect(whyUntrusted(file)).toMatchObject({ at: folder, command: null })
    expect(isOwn(folder)).toBe(false)
  })

  it('that a group may write to is not trusted, which also leaves out every ACL that lets others write', () => {
    const file = join(folder, 'f')
    writeFileSync(file, '')
    chmodSync(file, 0o664)
    expect(whyUntrusted(file)).not.toBeNull()
  })

  it('that a link of another user leads to is not trusted', () => {
    const link = join(folder, 'link')
    symlinkSync('/etc/passwd', link)
    chmodSync(folder, 0o1777)
    expect(whyUntrusted(link)).toBeNull()
    lchownSync(link, someone, someone)
    expect(whyUntrusted(link)).toMatchObject({ at: link })
  })

  it('is another judgement for its owner', () => {
    chownSync(folder, someone, someone)
    expect(whyUntrusted(join(folder, 'f'), someone)).toBeNull()
  })
})
