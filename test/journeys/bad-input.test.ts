/** Bad input gets a clear error that says what, where, why and what to do; nothing that the user had is lost. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { end } from '../lab/namespaces.ts'
import { describeWith } from '../needs.ts'

let folder: string
let taken: Server
let port: number

beforeAll(async () => {
  await built()
  folder = await mkdtemp(join(tmpdir(), 'naru-bad-'))
  taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  port = (taken.address() as AddressInfo).port
}, 120_000)

afterAll(async () => {
  taken.close()
  await rm(folder, { recursive: true, force: true })
})

interface Answer {
  exit: number
  stdout: string
  stderr: string
}

/** `through` is put before node: `prlimit …`, `setpriv …`. */
function naru(
  args: string[],
  { env = {}, through = [] }: { env?: Record<string, string>; through?: string[] } = {},
): Promise<Answer> {
  const [command = '', ...rest] = [...through, process.execPath, join(process.cwd(), 'dist/main.js'), ...args]
  const environment = {
    ...process.env,
    LANG: 'C.UTF-8',
    NARU_STATE: join(folder, 'state'),
    NARU_CONFIG: join(folder, 'naru.yaml'),
    ...env,
  }
  return new Promise((resolve) => {
    const child = execFile(command, rest, { env: environment, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ exit: error ? (child.exitCode ?? -1) : 0, stdout, stderr })
    })
  })
}

describe('open', () => {
  it.each([
    [['0', '80'], 2, /a port is a number from 1 to 65535/],
    [['65536', '80'], 2, /a port is a number from 1 to 65535/],
    [['9000-8000', '80'], 2, /did you mean 8000-9000/],
    [['9000-9002', '10.0.0.1:1-2'], 2, /a range of 2 ports cannot take 3/],
    [['9000', '9000'], 2, /forward to itself/],
    [['9000', 'nobody.invalid:80'], 1, /cannot find the address of nobody\.invalid/],
    [['203.0.113.77:9000', '80'], 1, /this machine does not have that address[^]*naru ip/],
    [['9000', '80', '--allow', '10.0.0.0/40'], 2, /prefix length is a number from 0 to 32/],
    [['9000', '80', '--for', 'soon'], 2, /30s, 5m or 1h30m/],
    [['9000', '80', '--engin', 'splice'], 2, /--engine/],
    [['9000'], 2, /TARGET is missing/],
  ])('%j ends with %i and says why', async (args, exit, why) => {
    const answer = await naru(['open', ...args])
    expect(answer).toMatchObject({ exit, stdout: '' })
    expect(answer.stderr).toMatch(why)
  })

  it('names the program that has the port', async () => {
    const answer = await naru(['open', `127.0.0.1:${port}`, '80'])
    expect(answer.exit).toBe(5)
    expect(answer.stderr).toContain(`(pid ${process.pid})`)
  })

  it('says the same to programs, as JSON with a code', async () => {
    const { stderr, exit } = await naru(['open', `127.0.0.1:${port}`, '80', '--json'])
    expect(exit).toBe(5)
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'LISTEN_IN_USE' } })
  })

  it('speaks Korean', async () => {
    const { stderr } = await naru(['open', '0', '80', '--lang', 'ko'])
    expect(stderr).toContain('포트는 1부터 65535까지의 숫자입니다')
  })
})

describeWith(
  { root: true, platform: 'linux', commands: ['setpriv', 'unshare', 'ip'] },
  'without rights',
  () => {
    it('a port below 1024 ends with 4 and says what to do', async () => {
      await mkdir(join(folder, 'free'))
      await chown(join(folder, 'free'), 65534, 65534)
      await chmod(folder, 0o755)
      const through = [
        'setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '--inh-caps=-all',
        '--bounding-set=-all',
      ]
      const answer = await naru(['open', '127.0.0.1:81', '8080'], {
        through,
        env: { NARU_STATE: join(folder, 'free/state'), HOME: join(folder, 'free') },
      })
      expect(answer.exit).toBe(4)
      const command = /run: `(sudo .*)`/.exec(answer.stderr)?.[1] ?? ''
      expect(command).toContain(`dist/main.js open 127.0.0.1:81 8080`)
      // Pasted by that user; this sudo asks for no password. The network is one of the test’s own.
      const tools = join(folder, 'free/bin')
      await mkdir(tools)
      await writeFile(join(tools, 'sudo'), '#!/bin/sh\n[ "$1" = -E ] && shift\nexec "$@"\n', { mode: 0o755 })
      await writeFile(join(tools, 'id'), '#!/bin/sh\necho 65534\n', { mode: 0o755 })
      const pasted = spawn('unshare', ['--net', 'sh', '-c', `ip link set lo up && exec ${command}`], {
        env: {
          ...process.env,
          LANG: 'C.UTF-8',
          HOME: join(folder, 'free'),
          PATH: `${tools}:${process.env['PATH']}`,
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let said = ''
      for await (const chunk of pasted.stdout) {
        said += String(chunk)
        if (said.includes('127.0.0.1:81')) break
      }
      expect(said).toContain('127.0.0.1:81')
      const ended = once(pasted, 'close')
      pasted.kill('SIGTERM')
      expect((await ended)[0]).toBe(0)
    })

    it('a state folder that cannot be written is named', async () => {
      const through = [
        'setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '--inh-caps=-all',
        '--bounding-set=-all',
      ]
      const answer = await naru(['open', '127.0.0.1:9001', '8080'], {
        through,
        env: { NARU_STATE: '/root/naru-state' },
      })
      expect(answer.exit).toBe(1)
      expect(answer.stderr).toMatch(/state folder \/root\/naru-state[^]*NARU_STATE/)
    })
  },
)

describe('the file', () => {
  it('tells every mistake at once, each with its line and column', async () => {
    const path = join(folder, 'wrong.yaml')
    await writeFile(
      path,
      'rules:\n  a: { listen: 0, target: 2, lmits: {} }\n  b:\n    listen: 70000\n    target: x\n',
    )
    const { exit, stderr } = await naru(['check', '--config', path])
    expect(exit).toBe(2)
    expect(stderr).toContain(`${path}:2:16: rules.a.listen: 0: a port is a number from 1 to 65535`)
    expect(stderr).toContain(`${path}:4:13: rules.b.listen`)
    expect(stderr).toContain('did you mean limits?')
  })

  it('names both rules of an overlap', async () => {
    const path = join(folder, 'overlap.yaml')
    await writeFile(
      path,
      'rules:\n  a: { listen: 8000-8010, target: 9000-9010 }\n  b: { listen: "127.0.0.1:8005", target: 80 }\n',
    )
    expect((await naru(['check', '--config', path])).stderr).toMatch(
      /overlap\.yaml:3:\d+: rules\.b\.listen: 127\.0\.0\.1:8005 is already taken by the rule a \(8000-8010\)/,
    )
  })

  it(
    'that became invalid changes nothing and is reported; a second daemon is told where the first is',
    { timeout: 60_000 },
    async () => {
      const [path, free] = [join(folder, 'live.yaml'), await freePort()]
      const good = `rules:\n  web: { listen: "127.0.0.1:${free}", target: "127.0.0.1:${port}" }\n`
      await writeFile(path, good)
      const env = { ...process.env, NARU_STATE: join(folder, 'state') }
      const daemon = spawn(process.execPath, ['dist/main.js', 'up', '--config', path, '--api', 'off'], {
        env,
        stdio: 'ignore',
      })
      try {
        const state = async (): Promise<string> => (await naru(['status', '--json', '--config', path])).stdout
        await vi.waitFor(async () => expect(await state()).toContain(`"pid": ${daemon.pid}`), {
          timeout: 20_000,
          interval: 200,
        })
        await writeFile(path, 'rules: [\n')
        await vi.waitFor(async () => expect(await state()).toContain('FILE_INVALID'), {
          timeout: 10_000,
          interval: 200,
        })
        expect((await naru(['ls', '--json', '--config', path])).stdout).toContain('"state": "open"')
        const second = await naru(['up', '--config', path, '--api', 'off'])
        expect(second).toMatchObject({ exit: 1 })
        expect(second.stderr).toContain(`pid ${daemon.pid}`)
        expect((await naru(['add', 'x', '8001', '80', '--config', path])).exit).toBe(2)
        expect(await readFile(path, 'utf8')).toBe('rules: [\n')
      } finally {
        await end(daemon)
      }
    },
  )
})

describeWith({ root: true, platform: 'linux', commands: ['mount', 'unshare'] }, 'a full disk', () => {
  it('is named, opens nothing, and the file keeps what it had', async () => {
    const disk = join(folder, 'disk')
    await mkdir(disk)
    const script = `mount -t tmpfs -o size=64k none ${disk}; printf 'rules:\\n  a: { listen: 1, target: 2 } # mine\\n' > ${disk}/naru.yaml; cat /dev/zero > ${disk}/fill 2>/dev/null; "$@"; code=$?; cat ${disk}/naru.yaml; exit $code`
    const answer = await naru(['add', 'big', '8000', '80', '--config', `${disk}/naru.yaml`], {
      through: ['unshare', '-m', 'sh', '-c', script, 'sh'],
    })
    expect(answer.exit).toBe(1)
    expect(answer.stderr).toMatch(/cannot write [^]*ENOSPC/)
    expect(answer.stdout).toContain('rules:\n  a: { listen: 1, target: 2 } # mine\n')
    const open = await naru(['open', '127.0.0.1:9002', '80'], {
      env: { NARU_STATE: `${disk}/state` },
      through: ['unshare', '-m', 'sh', '-c', `${script.replace('; exit $code', '')}; exit $code`, 'sh'],
    })
    expect(open.exit).toBe(1)
    expect(open.stderr).toMatch(/state folder/)
  })
})
