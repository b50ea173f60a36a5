import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeDeps, FakeIo } from '../../../test/fakes/io.ts'
import { run } from '../run.ts'

describe.skipIf(process.platform === 'win32')('naru service install', () => {
  let folder: string
  let io: FakeIo & { self: readonly string[] }
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'naru-service-'))
    writeFileSync(join(folder, 'main.js'), '')
    io = Object.assign(new FakeIo(), { self: ['/usr/bin/env', join(folder, 'main.js')] })
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const install = (...words: string[]): Promise<number> =>
    run(['service', 'install', '--config', join(folder, 'naru.yaml'), ...words], io, fakeDeps(null))

  it('does not let root run what another user may write, and says what mends it', async () => {
    chmodSync(join(folder, 'main.js'), 0o666)
    expect(await install('--write')).toBe(4)
    expect(io.stderr.text).toContain(`others may write to ${join(folder, 'main.js')} (mode 666)`)
    expect(io.stderr.text).toContain(`chmod go-w ${join(folder, 'main.js')}`)
    expect(io.stdout.text).toBe('')
  })

  it('nor take rules from a file that another user may write', async () => {
    writeFileSync(join(folder, 'naru.yaml'), '')
    chmodSync(join(folder, 'naru.yaml'), 0o666)
    expect(await install('--write')).toBe(4)
    expect(io.stderr.text).toContain(join(folder, 'naru.yaml'))
  })

  it('prints the unit all the same, with the doubt beside it; --force trusts the file', async () => {
    writeFileSync(join(folder, 'naru.yaml'), '')
    chmodSync(join(folder, 'naru.yaml'), 0o666)
    expect(await install()).toBe(0)
    expect(io.stderr.text).toContain('is not used')
    expect(io.stdout.text).not.toContain('NARU_TRUST_FILE')
    expect(await install('--force')).toBe(0)
    expect(io.stdout.text).toContain('Environment=NARU_STATE=/var/lib/naru NARU_TRUST_FILE=1')
  })
})
