/** A second real user of this machine tries to plant, to impersonate and to deceive; root's Naru is not taken in. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { instanceIdOf } from '../../src/instance/instance.ts'
import { mustBeOurUser } from '../../src/linux/fd-passing.ts'
import { findQemu } from '../../src/guests/qemu/find.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { addUser, otherUserNeeds, type OtherUser } from '../other-user.ts'

const main = join(import.meta.dirname, '../../dist/main.js')
const rules = 'rules:\n  a: { listen: "127.0.0.1:1", target: 2 }\n'

describeWith(otherUserNeeds, 'another user of this machine', () => {
  let user: OtherUser
  let folder: string
  const children: ChildProcess[] = []
  beforeAll(async () => {
    await built()
    user = addUser()
  }, 120_000)
  afterAll(() => user?.[Symbol.dispose]())
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'naru-others-'))))
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
    rmSync(folder, { recursive: true })
  })

  function naru(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): { exit: number | null; out: string; err: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
      env: { PATH: process.env.PATH, HOME: folder, NARU_STATE: join(folder, 'state'), LANG: 'C', ...env },
      encoding: 'utf8',
      timeout: 30_000,
    })
    return { exit: status, out: stdout, err: stderr }
  }

  /** A process of the user's that says a line once it is ready. */
  async function theirs(argv: readonly string[]): Promise<void> {
    const [command = '', ...args] = [...user.through, ...argv]
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd: user.home })
    children.push(child)
    await once(child.stdout as NodeJS.ReadableStream, 'data')
  }

  it('plants no journal and no tokens for root', () => {
    const state = join(user.home, 'state')
    const lock = '{"pid":999999,"started":"x","file":null,"socket":"/x","web":null}'
    user.run([
      'sh',
      '-c',
      `mkdir -p ${state}/dead && echo '${lock}' > ${state}/dead/lock && echo x > ${state}/dead/journal`,
    ])
    const file = join(folder, 'naru.yaml')
    writeFileSync(file, rules)
    const { exit, err } = naru(['up', '--config', file, '--api', 'off'], { NARU_STATE: state })
    expect([exit, err]).toEqual([4, expect.stringContaining(`belongs to another user (uid ${user.uid})`)])
    expect(readdirSync(state)).toEqual(['dead'])
  })

  it('writes no rules that root follows, unless root says so', () => {
    const file = join(user.home, 'naru.yaml')
    user.run(['sh', '-c', `printf '${rules.replaceAll('\n', '\\n')}' > ${file}`])
    expect(naru(['check', '--config', file])).toMatchObject({
      exit: 4,
      err: expect.stringContaining(`install -D -m 644 ${file} /etc/naru/naru.yaml`) as string,
    })
    expect(naru(['check', '--config', file], { NARU_TRUST_FILE: '1' }).exit).toBe(0)
  })

  it('answers no command in a daemon’s place, and hands nothing over to one', async () => {
    const place = join(user.home, 'api')
    const listen = `require('net').createServer(() => {}).listen('${place}', () => console.log('ready'))`
    await theirs([process.execPath, '-e', listen])
    const file = join(folder, 'naru.yaml')
    writeFileSync(file, rules)
    const ours = join(folder, 'state', await instanceIdOf(file))
    mkdirSync(ours, { recursive: true, mode: 0o700 })
    const holder = { pid: process.pid, started: null, file, socket: place, web: null }
    writeFileSync(join(ours, 'lock'), JSON.stringify(holder), { mode: 0o600 })
    for (const words of [['ls'], ['up', '--replace', '--api', 'off']]) {
      const { exit, err } = naru([...words, '--config', file])
      expect([exit, err]).toEqual([
        expect.toBeOneOf([1, 4]),
        expect.stringContaining('belongs to another user'),
      ])
    }
    const socket = connect({ path: place })
    await once(socket, 'connect')
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    expect(() => mustBeOurUser(fd)).toThrow(`of another user (uid ${user.uid})`)
    socket.destroy()
  })

  it('runs no guest for root, whatever the process is called', async () => {
    const script = "setInterval(() => {}, 1000); console.log('ready')"
    const named = `exec -a qemu-system-x86_64 ${process.execPath} -e "${script}" -- -name planted -qmp unix:${user.home}/qmp`
    await theirs(['bash', '-c', named])
    const { guests, others } = await findQemu({ sockets: '' })
    expect(guests.map(({ name }) => name)).not.toContain('planted')
    expect(others).toBeGreaterThan(0)
  })

  it('says nothing to root’s terminal by the name of a process', async () => {
    const name = String.raw`\u001b]52;c;eA==\u0007\u001b[2J\u202e`
    const script = `process.title = '${name}'; require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
    await theirs([process.execPath, '-e', script])
    const { exit, out, err } = naru(['ports'], { FORCE_COLOR: '0' })
    expect(exit).toBe(0)
    expect(out).toContain(String.raw`\u001b]52;c`)
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(out + err).not.toMatch(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]|\p{Cf}/u)
  })

  it('learns that a tool is not installed, also with a folder in PATH that he may not look into', () => {
    mkdirSync(join(folder, 'closed'))
    chmodSync(join(folder, 'closed'), 0o700)
    const runner = new URL('../../dist/host/runner.js', import.meta.url).href
    const script = `import('${runner}').then(({ createRunner }) => createRunner().run(['naru-no-such-tool'], { signal: AbortSignal.timeout(5000) })).catch(({ code }) => console.log(code))`
    const path = `PATH=${join(folder, 'closed', 'bin')}:/usr/bin:/bin`
    expect(user.run(['env', path, process.execPath, '-e', script]).trim()).toBe('COMMAND_MISSING')
  })
})
