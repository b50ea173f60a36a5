/** `naru up --background`: the command ends once the daemon serves, also for who reads it through a pipe. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { built } from '../built.ts'
import { freePort, freePorts } from '../free-port.ts'
import { describeWith } from '../needs.ts'

const main = join(import.meta.dirname, '../../dist/main.js')

describeWith({ platform: 'linux' }, 'naru up --background', () => {
  let folder: string
  let env: NodeJS.ProcessEnv
  let readAfterMs = 0

  beforeAll(built, 120_000)
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'naru-background-'))
    env = { ...process.env, NARU_STATE: join(folder, 'state'), HOME: folder, LANG: 'C' }
  })
  afterEach(async () => {
    await naru('stop')
    await rm(folder, { recursive: true, force: true })
  })

  /** Resolves with the end of its output, as `| tail`, `$(…)` and ssh do. */
  async function naru(
    command: string,
    ...args: string[]
  ): Promise<{ code: number | null; out: string; complaints: string }> {
    const argv = [main, command, '--config', join(folder, 'naru.yaml'), ...args]
    const child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 })
    let [out, complaints] = ['', '']
    await sleep(readAfterMs)
    readAfterMs = 0
    child.stdout.on('data', (text: Buffer) => (out += text.toString()))
    child.stderr.on('data', (text: Buffer) => (complaints += text.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, out, complaints }
  }

  async function writeRule(listen: number, target: number): Promise<void> {
    const rule = `{ listen: 127.0.0.1:${listen}, target: 127.0.0.1:${target}, engine: sockets }`
    await writeFile(join(folder, 'naru.yaml'), `rules:\n  web: ${rule}\n`)
  }

  it('lets go of a pipe once it serves, having said there what it says in the foreground', async () => {
    const [listen, target] = await freePorts(2)
    await writeRule(listen as number, target as number)
    const up = await naru('up', '--background', '--json')
    expect(up).toMatchObject({ code: 0 })
    expect(JSON.parse(up.out)).toMatchObject({ rules: [{ name: 'web' }] })
    // It goes on, and what it has to say from then on is nobody's: an edit that fails is logged, into no pipe.
    await writeFile(join(folder, 'naru.yaml'), 'rules: [')
    await naru('reload')
    await writeRule(listen as number, (target as number) + 1)
    const ls = await naru('ls', '--json')
    expect(ls).toMatchObject({ code: 0 })
    expect(ls.out).toContain('"web"')
  })

  it('has said all of it to a slow reader before it lets go', async () => {
    const count = 4000
    // So many in a row are free where nobody else listens.
    const host = '127.0.0.77'
    const first = await freePort(host, count)
    const rule = (at: number): string =>
      `  r${at}: { listen: ${host}:${first + at}, target: 9, engine: sockets }\n`
    await writeFile(
      join(folder, 'naru.yaml'),
      `rules:\n${Array.from({ length: count }, (_, at) => rule(at)).join('')}`,
    )
    readAfterMs = 2000
    const up = await naru('up', '--background')
    expect(up).toMatchObject({ code: 0 })
    expect(up.out).toContain(`r${count - 1} `)
  })

  it('goes on writing to a file', async () => {
    const [listen, target] = await freePorts(2)
    await writeRule(listen as number, target as number)
    const log = join(folder, 'log')
    const line = `exec "$0" "$1" up --background --config "$2" > "$3" 2>&1`
    const argv = ['-c', line, process.execPath, main, join(folder, 'naru.yaml'), log]
    const [code] = await once(spawn('sh', argv, { env, stdio: 'ignore' }), 'exit')
    expect(code).toBe(0)
    expect(await readFile(log, 'utf8')).toContain('naru stop')
    await writeFile(join(folder, 'naru.yaml'), 'rules: [')
    await naru('reload')
    expect(await readFile(log, 'utf8')).toContain('nothing was changed')
  })

  it('says why it cannot, with its exit code', async () => {
    await writeFile(join(folder, 'naru.yaml'), 'rules: { web: { listen: 70000, target: 80 } }\n')
    const up = await naru('up', '--background')
    expect(up.code).not.toBe(0)
    expect(up.complaints).toContain('70000')
  })
})
