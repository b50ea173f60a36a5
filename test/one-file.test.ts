/** Naru as one file: what `packaging/one-file.mjs` makes forwards, shows its page and hands over, with nothing beside it. */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from './built.ts'
import { freePort } from './free-port.ts'
import { startWindows, wineNeeds, Windows, type WindowsProcess } from './lab/wine.ts'
import { describeWith } from './needs.ts'

const root = join(import.meta.dirname, '..')
const run = promisify(execFile)

describeWith({ platform: 'linux', commands: ['npm', 'tar'] }, 'Naru as one file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-one-file-'))
  const temporary = join(folder, 'tmp')
  const naru = join(folder, 'naru')
  const env = {
    PATH: process.env.PATH,
    NARU_STATE: join(folder, 'state'),
    NARU_CONFIG: join(folder, 'naru.yaml'),
    TMPDIR: temporary,
    LANG: 'C',
  }
  let target: Server
  let port: number

  beforeAll(async () => {
    await built()
    mkdirSync(temporary)
    make(`linux-${process.arch}`, naru)
    target = createServer((socket) => socket.on('error', () => {}).end('from the target'))
    target.listen(0, '127.0.0.1')
    await once(target, 'listening')
    port = (target.address() as AddressInfo).port
  }, 300_000)
  afterAll(() => {
    target.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('tells its version, with nothing beside it', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    const { stdout } = await run(naru, ['--version'], { env, cwd: '/' })
    expect(stdout).toBe(`${version}\n`)
  })

  it('speaks Korean from inside as it does from its files', async () => {
    const korean = { env: { ...env, LANG: 'ko_KR.UTF-8' }, cwd: '/' }
    const { stdout } = await run(naru, ['--help'], korean)
    expect(stdout).toMatch(/[가-힣]/)
    expect(stdout).toBe((await run(process.execPath, [join(root, 'bin/naru.mjs'), '--help'], korean)).stdout)
  })

  it('carries connections by the threads inside, and leaves nothing of the library that it unpacked', async () => {
    const listen = await freePort()
    const open = spawn(
      naru,
      ['open', `127.0.0.1:${listen}`, `127.0.0.1:${port}`, '--engine', 'splice', '--json'],
      { env, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(open.stdout, 'data')
    expect(await heard(listen)).toBe('from the target')
    expect(readdirSync(temporary)).toEqual([])
    open.kill('SIGINT')
    expect(await once(open, 'exit')).toEqual([0, null])
  })

  it(
    'serves its page from inside, and a copy of it elsewhere takes its place',
    { timeout: 120_000 },
    async () => {
      const listen = await freePort()
      writeFileSync(
        env.NARU_CONFIG,
        `rules:\n  web: { listen: "127.0.0.1:${listen}", target: "127.0.0.1:${port}" }\n`,
      )
      const told = await run(naru, ['up', '--background', '--api', `127.0.0.1:${await freePort()}`], { env })
      try {
        const [page = ''] = /http:\/\/\S+/.exec(told.stdout + told.stderr) ?? []
        const answer = await fetch(page, { headers: { accept: 'text/html' } })
        const html = await answer.text()
        expect(answer.status).toBe(200)
        const [script = ''] = /assets\/[^"]+\.js/.exec(html) ?? []
        expect((await fetch(new URL(script, page))).headers.get('content-type')).toContain('javascript')
        // In a thread of its own.
        const token = new URL(page).searchParams.get('token') ?? ''
        const imported = await fetch(new URL('/api/import', page), {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ text: '0.0.0.0 8080 10.0.0.5 80\n', file: 'rinetd.conf' }),
        })
        expect([imported.status, await imported.text()]).toEqual([
          200,
          expect.stringContaining('10.0.0.5:80'),
        ])

        const outside = await fetch(new URL('/package.json', page), { headers: { accept: '*/*' } })
        expect(outside.status).toBe(404)

        const upgraded = join(folder, 'naru-next')
        copyFileSync(naru, upgraded)
        await run(upgraded, ['up', '--replace', '--background'], { env })
        expect(await heard(listen)).toBe('from the target')
      } finally {
        await run(naru, ['stop'], { env })
      }
      await expect(heard(listen)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    },
  )

  it('is what a service starts: itself, and no script', async () => {
    const { stdout } = await run(naru, ['service', 'install', '--print'], { env })
    expect(stdout).toContain(`ExecStart=${naru} up `)
  })
})

// A minute, and each run tries the program under wine without this: `npm run release -- --check` runs it.
const atRelease = process.env.NARU_RELEASE === '1' ? describeWith : (): void => {}
atRelease(wineNeeds, 'naru.exe', () => {
  it('forwards, and serves its page from inside, until Ctrl-C', { timeout: 300_000 }, async () => {
    await built()
    const folder = mkdtempSync(join(tmpdir(), 'naru-exe-'))
    const exe = join(folder, 'naru.exe')
    make('win-x64', exe)
    const target = createServer((socket) => socket.on('error', () => {}).end('from the target'))
    target.listen(0, '127.0.0.1')
    await once(target, 'listening')
    const to = `127.0.0.1:${(target.address() as AddressInfo).port}`
    const [opened, served] = [await freePort(), await freePort()]
    writeFileSync(
      join(folder, 'naru.yaml'),
      `rules:\n  web: { listen: "127.0.0.1:${served}", target: "${to}" }\n`,
    )
    const env = {
      NARU_STATE: Windows.path(join(folder, 'state')),
      NARU_CONFIG: Windows.path(join(folder, 'naru.yaml')),
      LANG: 'en',
    }
    await using windows = await startWindows()
    const naru = (...args: string[]): WindowsProcess => windows.start([Windows.path(exe), ...args], { env })

    const version = await naru('--version').ended(60_000)
    expect(version).toMatchObject({ exit: 0 })
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+/)
    const open = naru('open', `127.0.0.1:${opened}`, to)
    await expect.poll(() => heard(opened).catch(() => null), { timeout: 60_000 }).toBe('from the target')
    // One after the other: wine's Ctrl-C is for all that run.
    open.interrupt()
    expect((await open.ended()).exit).toBe(0)

    const up = naru('up', '--api', `127.0.0.1:${await freePort()}`)
    const [page] = await up.says(/http:\/\/127\S+token=\S+/, 90_000)
    const html = await (await fetch(page, { headers: { accept: 'text/html' } })).text()
    const [script = ''] = /assets\/[^"]+\.js/.exec(html) ?? []
    expect((await fetch(new URL(script, page))).status).toBe(200)
    expect(await heard(served)).toBe('from the target')
    up.interrupt()
    expect((await up.ended()).exit).toBe(0)

    // Wine's Task Scheduler keeps tasks, and starts none.
    const refused = await naru('service', 'install').ended()
    expect(refused.exit, 'from a folder that others write').toBe(4)
    const installed = await naru('service', 'install', '--force').ended()
    expect(installed, installed.stderr).toMatchObject({ exit: 0 })
    expect(await naru('service', 'uninstall').ended()).toMatchObject({ exit: 0 })
    target.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  })
})

function make(of: string, file: string): void {
  execFileSync(process.execPath, [join(root, 'packaging/one-file.mjs'), of, file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

async function heard(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}
