import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeEngine } from '../../../test/fakes/docker-engine.ts'
import { fakeHost } from '../../../test/fakes/host.ts'
import { docker, podman } from './docker.ts'
import { findEngine } from './engine-place.ts'

describe.skipIf(process.platform === 'win32')('a context of Docker', () => {
  let folder: string
  let env: NodeJS.ProcessEnv
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'naru-docker-'))
    env = { DOCKER_CONFIG: folder }
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const use = (name: string): void =>
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths: {}, currentContext: name }))
  const add = (name: string, url: string): void => {
    const at = join(folder, 'contexts/meta', createHash('sha256').update(name).digest('hex'))
    mkdirSync(at, { recursive: true })
    const meta = { Name: name, Metadata: {}, Endpoints: { docker: { Host: url, SkipTLSVerify: false } } }
    writeFileSync(join(at, 'meta.json'), JSON.stringify(meta))
  }

  it('that was chosen is where the guests are', async () => {
    const web = { name: 'web', id: 'a1'.repeat(32), state: 'running', address: '172.17.0.2' } as const
    await using engine = await new FakeEngine([{ ...web }]).start()
    add('colima', engine.url)
    use('colima')
    const guests = await docker({ env }).list({ host: fakeHost(), signal: AbortSignal.timeout(10_000) })
    expect(guests.map(({ name }) => name)).toEqual(['web'])
  })

  it('gives way to what the environment names', () => {
    add('colima', 'unix:///one.sock')
    add('other', 'unix:///other.sock')
    use('colima')
    expect(findEngine('docker', env).engine?.url).toBe('unix:///one.sock')
    expect(findEngine('docker', { ...env, DOCKER_CONTEXT: 'other' }).engine?.url).toBe('unix:///other.sock')
    const named = { ...env, DOCKER_CONTEXT: 'other', DOCKER_HOST: 'unix:///named.sock' }
    expect(findEngine('docker', named).engine?.url).toBe('unix:///named.sock')
  })

  it('that is spoken to by ssh, or is not there, is named and not passed over for another engine', () => {
    add('far', 'ssh://me@far')
    use('far')
    const far = findEngine('docker', env)
    expect(far).toMatchObject({
      engine: null,
      why: { en: expect.stringMatching(/context far.*ssh:/) as string },
    })
    use('gone')
    expect(findEngine('docker', env)).toMatchObject({
      engine: null,
      why: { en: expect.stringContaining('context gone') as string },
    })
  })

  it('that others could have written counts for nothing', () => {
    add('colima', 'unix:///one.sock')
    use('colima')
    chmodSync(join(folder, 'config.json'), 0o666)
    expect(findEngine('docker', env).engine?.url).not.toBe('unix:///one.sock')
  })

  it('is never one at a socket that others could replace', () => {
    const open = join(folder, 'open')
    mkdirSync(open)
    chmodSync(open, 0o777)
    writeFileSync(join(open, 'engine.sock'), '')
    add('open', `unix://${open}/engine.sock`)
    use('open')
    expect(findEngine('docker', env)).toMatchObject({
      engine: null,
      why: { en: expect.stringContaining('others may write') as string },
    })
  })
})

it.skipIf(process.platform === 'win32')('a rootless engine is found in the user’s own runtime folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-runtime-'))
  try {
    mkdirSync(join(folder, 'podman'))
    writeFileSync(join(folder, 'podman/podman.sock'), '')
    const found = findEngine('podman', { XDG_RUNTIME_DIR: folder })
    // A rootful one goes before it where this user may speak to that.
    expect(['unix:///run/podman/podman.sock', `unix://${folder}/podman/podman.sock`]).toContain(
      found.engine?.url,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** An engine of this very machine would answer in its place. */
const hasOwn = ['/run/podman/podman.sock', '/var/run/docker.sock'].some((path) => existsSync(path))

describe.skipIf(process.platform === 'win32' || hasOwn)('where no engine answers', () => {
  let folder: string
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'naru-no-engine-'))))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it.each([
    [podman, 'podman', /podman\.socket|podman machine/],
    [docker, 'docker', /systemctl start docker|docker desktop/],
  ] as const)(
    'one that is installed is told how to start, one that is not is not here',
    async (member, name, start) => {
      const env = { HOME: folder, XDG_RUNTIME_DIR: folder }
      const asked = (tools: Record<string, string>) =>
        member({ env }).list({
          host: fakeHost({ facts: { tools } }),
          signal: AbortSignal.timeout(10_000),
        })
      await expect(asked({ [name]: `/usr/bin/${name}` })).rejects.toMatchObject({
        code: 'GUEST_NOT_RUNNING',
        fix: { en: expect.stringMatching(start) as string },
      })
      await expect(asked({})).rejects.toMatchObject({ code: 'GUEST_NOT_HERE' })
    },
  )

  it('one that the environment names is not taken for this machine’s', async () => {
    const env = { CONTAINER_HOST: `unix://${folder}/gone.sock` }
    const host = fakeHost({ facts: { tools: { podman: '/usr/bin/podman' } } })
    await expect(podman({ env }).list({ host, signal: AbortSignal.timeout(10_000) })).rejects.toMatchObject({
      code: 'GUEST_NOT_HERE',
    })
  })
})
