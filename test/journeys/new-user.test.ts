/** As a new user would: clone, `npm start`, look, edit the file, add a rule, pull the plug, start again. */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { freePort } from '../free-port.ts'

const run = promisify(execFile)
const root = process.cwd()
const state: {
  home: string
  clone: string
  env: NodeJS.ProcessEnv
  daemon: ChildProcess | null
  target: Server | null
} = {
  home: '',
  clone: '',
  env: {},
  daemon: null,
  target: null,
}

beforeAll(async () => {
  state.home = await mkdtemp(join(tmpdir(), 'naru-new-user-'))
  state.clone = join(state.home, 'naru')
  const { NARU_STATE: _s, NARU_CONFIG: _c, npm_execpath: _n, ...env } = process.env
  state.env = {
    ...env,
    XDG_CONFIG_HOME: join(state.home, 'config'),
    XDG_STATE_HOME: join(state.home, 'state'),
    LANG: 'C.UTF-8',
  }
  execFileSync('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, state.clone])
})

afterAll(async () => {
  state.target?.close()
  if (state.daemon?.exitCode === null) state.daemon.kill('SIGKILL')
  await rm(state.home, { recursive: true, force: true })
})

const naru = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
  run(process.execPath, [join(state.clone, 'dist/main.js'), ...args], { env: state.env, timeout: 20_000 })

async function listed(): Promise<string[]> {
  const { rules } = JSON.parse((await naru('ls', '--json')).stdout) as {
    rules: { name: string; state: string }[]
  }
  return rules.map(({ name, state }) => `${name} ${state}`)
}

/** Starts a daemon and answers when it says where its page is. */
async function start(command: string, args: string[], limitMs: number): Promise<string> {
  const daemon = spawn(command, args, { cwd: state.clone, env: state.env, stdio: ['ignore', 'pipe', 'pipe'] })
  state.daemon = daemon
  let said = ''
  const hear = (chunk: Buffer): void => void (said += chunk.toString())
  daemon.stdout.on('data', hear)
  daemon.stderr.on('data', hear)
  await vi.waitFor(
    () => {
      if (daemon.exitCode !== null) throw new Error(`it ended: ${said}`)
      expect(said).toMatch(/http:\/\/127\.0\.0\.1:\d+\/\?token=/)
    },
    { timeout: limitMs, interval: 100 },
  )
  return said
}

async function stop(signal: NodeJS.Signals): Promise<number | null> {
  const { daemon } = state
  if (!daemon) return null
  const gone = once(daemon, 'exit')
  daemon.kill(signal)
  const [code] = (await gone) as [number | null]
  return code
}

async function text(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })
  return response.text()
}

it(
  'npm start on a fresh clone installs, builds, writes a first file, and its first rule works',
  { timeout: 240_000 },
  async () => {
    const said = await start('npm', ['start', '--silent'], 200_000)
    const [, port] = /forwarded page: http:\/\/127\.0\.0\.1:(\d+)\//.exec(said) ?? []
    expect(await text(Number(port))).toContain('The ferry runs')
    const file = await readFile(join(state.home, 'config/naru/naru.yaml'), 'utf8')
    expect(file).toContain(`listen: 127.0.0.1:${port}`)
    await stop('SIGTERM')
    // npm and its shell are gone at once; the daemon follows.
    await vi.waitFor(async () => expect((await naru('ls', '--json')).stdout).toContain('"running": false'), {
      timeout: 10_000,
      interval: 300,
    })
  },
)

it(
  'the second start needs no network, follows an edited file, and takes new rules',
  { timeout: 120_000 },
  async () => {
    const file = join(state.home, 'config/naru/naru.yaml')
    state.env = { ...state.env, npm_config_offline: 'true' }
    await start(process.execPath, [join(state.clone, 'scripts/start.mjs')], 60_000)
    const [edited, added] = [await freePort(), await freePort()]
    await writeFile(
      file,
      (await readFile(file, 'utf8')).replace(
        /listen: 127\.0\.0\.1:\d+/,
        `listen: 127.0.0.1:${edited} # mine`,
      ),
    )
    await vi.waitFor(async () => expect(await text(edited)).toContain('The ferry runs'), { timeout: 10_000 })

    state.target = createServer((socket) =>
      socket
        .on('error', () => {})
        .end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello'),
    ).listen(0, '127.0.0.1')
    await once(state.target, 'listening')
    const { port } = state.target.address() as AddressInfo
    await naru('add', 'web', `127.0.0.1:${added}`, `127.0.0.1:${port}`)
    expect(await text(added)).toBe('hello')
    const written = await readFile(file, 'utf8')
    expect(written).toContain('# mine')
    expect(written).toContain('# Every key')
    expect(await listed()).toEqual(['hello open', 'web open'])
  },
)

it(
  'pulling the plug loses no rule, and the next start and stop leave nothing behind',
  { timeout: 120_000 },
  async () => {
    const pid = Number(/"pid": ?(\d+)/.exec((await naru('status', '--json')).stdout)?.[1])
    process.kill(pid, 'SIGKILL')
    if (state.daemon?.exitCode === null) await once(state.daemon, 'exit')
    await expect(naru('logs')).rejects.toMatchObject({ code: 1 })

    await start(process.execPath, [join(state.clone, 'dist/main.js'), 'up'], 30_000)
    expect(await listed()).toEqual(['hello open', 'web open'])
    const started = performance.now()
    expect(await stop('SIGTERM')).toBe(0)
    expect(performance.now() - started).toBeLessThan(6000)
    const { stdout } = await run('find', [join(state.home, 'state'), '-type', 's', '-o', '-name', 'lock'])
    expect(stdout).toBe('')
    const folder = join(state.home, 'state/naru')
    const id = (await run('ls', [folder])).stdout.trim()
    expect(await readFile(join(folder, id, 'journal'), 'utf8')).toBe('')
  },
)
