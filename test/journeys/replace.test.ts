/**
 * `naru up --replace`: a new Naru takes the place of the one that runs. Clients knock all the while and none is refused
 * or cut; what is connected goes on to its end; a new one that cannot start leaves the old one as it was.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { acceptHandover } from '../../src/daemon/handover/accept.ts'
import { instanceOf, type Holder } from '../../src/instance/instance.ts'
import { built } from '../built.ts'
import { freePorts } from '../free-port.ts'
import { describeWith } from '../needs.ts'

const main = join(import.meta.dirname, '../../dist/main.js')
const restarts = 10
const clientsAtOnce = 16
/** Between two connections of one client: the new process needs the machine, too. */
const breathMs = 5

/** `naru up` as a service manager runs it. */
class Up {
  readonly child: ChildProcess
  readonly ready: Promise<boolean>
  readonly exit: Promise<number | null>
  complaints = ''

  constructor(folder: string, args: readonly string[]) {
    const env = { ...process.env, NARU_STATE: join(folder, 'state'), HOME: folder, LANG: 'C' }
    const argv = [main, 'up', '--config', join(folder, 'naru.yaml'), '--json', ...args]
    this.child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stderr?.on('data', (text: Buffer) => (this.complaints += text.toString()))
    this.exit = once(this.child, 'exit').then(([code]) => code as number | null)
    const lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream })
    this.ready = Promise.race([once(lines, 'line').then(() => true), this.exit.then(() => false)])
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }
}

describeWith({ platform: 'linux', commands: ['ss'] }, 'naru up --replace', () => {
  let folder: string
  let echo: Server
  let udpEcho: UdpSocket
  const ups: Up[] = []
  const targets = new Set<Socket>()

  beforeAll(built, 120_000)
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'naru-replace-'))
    echo = createServer({ noDelay: true }, (socket) => {
      targets.add(socket.on('error', () => {}).on('close', () => targets.delete(socket)))
      socket.pipe(socket)
    }).listen(0, '127.0.0.1', 4096)
    await once(echo, 'listening')
    udpEcho = createSocket('udp4', (datagram, from) =>
      udpEcho.send(`${datagram.toString()} from ${from.port}`, from.port, from.address),
    )
    udpEcho.bind((echo.address() as AddressInfo).port, '127.0.0.1')
    await once(udpEcho, 'listening')
  })
  afterEach(async () => {
    for (const up of ups) if (up.running) up.child.kill('SIGKILL')
    await Promise.all(ups.splice(0).map(({ exit }) => exit))
    echo.close()
    udpEcho.close()
    for (const socket of targets) socket.destroy()
    await rm(folder, { recursive: true, force: true })
  })
  async function up(...args: string[]): Promise<Up> {
    const one = new Up(folder, args)
    ups.push(one)
    if (!(await one.ready)) throw new Error(`naru up ended: ${one.complaints}`)
    return one
  }

  async function writeRules(ports: Record<string, number>, keys = ''): Promise<void> {
    const tcp = (echo.address() as AddressInfo).port
    const udp = udpEcho.address().port
    const rules = Object.entries(ports).map(([name, port]) => {
      const [engine, protocol] = name.split('-') as [string, string]
      return `  ${name}: { listen: "127.0.0.1:${port}/${protocol === 'both' ? 'tcp+udp' : protocol}", target: "127.0.0.1:${protocol === 'tcp' ? tcp : udp}", engine: ${engine}${keys} }`
    })
    await writeFile(join(folder, 'naru.yaml'), `rules:\n${rules.join('\n')}\n`)
  }

  function naru(...words: string[]): void {
    const env = { ...process.env, NARU_STATE: join(folder, 'state'), HOME: folder, LANG: 'C' }
    execFileSync(process.execPath, [main, ...words, '--config', join(folder, 'naru.yaml')], {
      env,
      stdio: 'ignore',
    })
  }

  const stateFiles = async (): Promise<string[]> => {
    const [id] = await readdir(join(folder, 'state'))
    return readdir(join(folder, 'state', id as string))
  }

  async function stopAll(): Promise<void> {
    for (const one of ups) if (one.running) one.child.kill('SIGTERM')
    for (const one of ups) await one.exit
  }

  const lock = async (): Promise<{ pid: number; web: string | null }> => {
    const [id] = await readdir(join(folder, 'state'))
    return JSON.parse(await readFile(join(folder, 'state', id as string, 'lock'), 'utf8')) as {
      pid: number
      web: string | null
    }
  }

  it(
    'ten times under load: nobody refused, nobody cut, long connections of every engine to their end',
    {
      timeout: 400_000,
    },
    async () => {
      const [a, b, c, d, page] = (await freePorts(5)) as [number, number, number, number, number]
      await writeRules({ 'splice-tcp': a, 'sockets-tcp': b, 'splice-udp': c, 'sockets-udp': d })
      let current = await up('--api', `127.0.0.1:${page}`)
      const { web } = await lock()
      const long = await Promise.all([a, b].map((port) => Line.open(port)))
      const sessions = await Promise.all([c, d].map((port) => Session.open(port)))
      const stop = new AbortController()
      const knocking = Promise.all(
        Array.from({ length: clientsAtOnce }, (_, at) => knock(at % 2 === 0 ? a : b, stop.signal)),
      )
      const leaving: Up[] = []
      for (let restart = 0; restart < restarts; restart++) {
        leaving.push(current)
        current = await up('--replace')
        for (const one of [...long, ...sessions]) await one.talk()
        expect((await lock()).pid).toBe(current.child.pid)
      }
      stop.abort()
      const counts = await knocking
      const offered = counts.reduce((sum, { done }) => sum + done, 0)
      const lost = counts.flatMap(({ failures }) => failures)
      expect(lost).toEqual([])
      expect(offered).toBeGreaterThan(restarts * clientsAtOnce)
      expect((await lock()).web).toBe(web)
      // The first one still carries what it began with, and ends with it.
      expect((leaving[0] as Up).running).toBe(true)
      for (const { exit } of leaving.slice(1)) expect(await exit).toBe(0)
      for (const one of long) await one.close()
      // UDP sessions end by themselves after five silent minutes; a stop ends them, and all who are leaving, at once.
      current.child.kill('SIGTERM')
      expect(await current.exit).toBe(0)
      expect(await (leaving[0] as Up).exit).toBe(0)
      for (const one of sessions) one.close()
      await expect(Line.open(a)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    },
  )

  it(
    'the page’s port is nobody else’s in between, at either address of localhost',
    { timeout: 120_000 },
    async () => {
      const [a] = (await freePorts(1)) as [number]
      await writeRules({ 'sockets-tcp': a })
      const old = await up()
      const { web } = await lock()
      const port = Number(new URL(web as string).port)
      const got: string[] = []
      const over = new AbortController()
      const tryAt = async (host: string): Promise<void> => {
        do {
          if (await mayListen(host, port)) got.push(host)
        } while (!over.signal.aborted)
      }
      const trying = Promise.all([tryAt('127.0.0.1'), tryAt('::1')])
      await up('--replace')
      expect(await old.exit).toBe(0)
      over.abort()
      await trying
      expect(got).toEqual([])
      expect((await lock()).web).toBe(web)
      for (const host of ['127.0.0.1', '[::1]'])
        expect((await fetch(`http://${host}:${port}/`)).status).toBe(200)
      await stopAll()
    },
  )

  it('a new one that ends as it takes over leaves the old one serving, and found', async () => {
    const [a] = (await freePorts(1)) as [number]
    await writeRules({ 'splice-tcp': a })
    const old = await up('--api', 'off')
    const root = join(folder, 'state')
    const { id, holder } = await instanceOf(root, join(folder, 'naru.yaml'))
    const signal = AbortSignal.timeout(60_000)
    {
      await using place = await acceptHandover(root, id, holder as Holder, { signal })
      const begun = place.begin(async () => {
        await place.instance.announce(null)
        throw new Error('it ends here')
      })
      await expect(begun).rejects.toThrow('it ends here')
      expect((await lock()).pid).toBe(process.pid)
    }
    await expect.poll(async () => (await lock()).pid, { timeout: 60_000 }).toBe(old.child.pid)
    const line = await Line.open(a)
    await line.talk()
    await line.close()
  })

  it('a rule is over on time while a successor takes its time', { timeout: 120_000 }, async () => {
    const [a] = (await freePorts(1)) as [number]
    await writeRules({ 'splice-tcp': a })
    const file = join(folder, 'naru.yaml')
    const until = new Date(Date.now() + 8000).toISOString()
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('engine: splice', `engine: splice, until: "${until}"`))
    const old = await up('--api', 'off')
    const root = join(folder, 'state')
    const { id, holder } = await instanceOf(root, file)
    const signal = AbortSignal.timeout(60_000)
    const place = await acceptHandover(root, id, holder as Holder, { signal })
    await expect.poll(() => old.complaints, { timeout: 60_000 }).toContain('is over by its `until`')
    await place[Symbol.asyncDispose]()
    const answers = (): Promise<unknown> => Line.open(a).catch((error: NodeJS.ErrnoException) => error.code)
    await expect.poll(answers, { timeout: 20_000 }).toBe('ECONNREFUSED')
    expect(old.running).toBe(true)
  })

  it('a new one that cannot start leaves the old one serving', { timeout: 180_000 }, async () => {
    const [a, b, c, page] = (await freePorts(4)) as [number, number, number, number]
    await writeRules({ 'splice-tcp': a, 'sockets-tcp': b, 'splice-udp': c })
    const old = await up('--api', `127.0.0.1:${page}`)
    const long = await Line.open(a)
    const session = await Session.open(c)

    // Its page's port is taken: it has opened every rule by then.
    const taken = (echo.address() as AddressInfo).port
    const failing = new Up(folder, ['--replace', '--api', `127.0.0.1:${taken}`])
    ups.push(failing)
    expect(await failing.exit).toBe(5)
    // And one that is killed in the middle of it.
    const killed = new Up(folder, ['--replace', '--api', 'off'])
    ups.push(killed)
    await sleep(300)
    killed.child.kill('SIGKILL')
    await killed.exit

    const { pid } = await lock()
    expect([old.child.pid, killed.child.pid]).toContain(pid)
    for (const port of [a, b]) {
      const fresh = await Line.open(port)
      await fresh.talk()
      await fresh.close()
    }
    await long.talk()
    await session.talk()
    expect(old.running).toBe(true)
    // Nothing is in the way of the next one.
    const next = await up('--replace', '--api', 'off')
    await long.talk()
    await long.close()
    session.close()
    next.child.kill('SIGTERM')
    expect(await next.exit).toBe(0)
    expect(await old.exit).toBe(0)
  })

  it('as many clients may wait after a restart as before it', { timeout: 120_000 }, async () => {
    const [a, b] = (await freePorts(2)) as [number, number]
    await writeRules({ 'splice-tcp': a, 'sockets-tcp': b })
    await up('--api', 'off')
    const before = [a, b].map(queueOf)
    const next = await up('--replace', '--api', 'off')
    expect([a, b].map(queueOf)).toEqual(before)
    next.child.kill('SIGTERM')
    expect(await next.exit).toBe(0)
  })

  it('of two or three at once exactly one takes the place, each time', { timeout: 240_000 }, async () => {
    const [a] = (await freePorts(1)) as [number]
    await writeRules({ 'splice-tcp': a })
    await up('--api', 'off')
    for (const contenders of [2, 3, 2, 3]) {
      const all = Array.from({ length: contenders }, () => new Up(folder, ['--replace', '--api', 'off']))
      ups.push(...all)
      const took = await Promise.all(all.map(({ ready }) => ready))
      // One that comes late replaces the one that was faster.
      const { pid } = await lock()
      expect(all.filter((one, at) => took[at] && one.child.pid === pid)).toHaveLength(1)
      for (const [at, one] of all.entries()) if (!took[at]) expect(await one.exit).toBe(1)
      const line = await Line.open(a)
      await line.close()
    }
    expect((await stateFiles()).filter((name) => /^f[0-9a-z]+$/.test(name))).toEqual([])
    await stopAll()
  })

  it('a stop of the one that is replaced ends both', { timeout: 120_000 }, async () => {
    const [a] = (await freePorts(1)) as [number]
    await writeRules({ 'splice-tcp': a })
    for (const pause of [50, 300, 600, 900]) {
      const old = await up('--api', 'off')
      const next = new Up(folder, ['--replace', '--api', 'off'])
      ups.push(next)
      await sleep(pause)
      old.child.kill('SIGTERM')
      expect(await old.exit).toBe(0)
      // Whoever comes after the old one has gone starts by itself.
      if (await next.ready) next.child.kill('SIGTERM')
      expect([0, 1]).toContain(await next.exit)
      await expect(Line.open(a)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      expect(await stateFiles()).not.toContain('lock')
    }
  })

  it(
    'a successor that crashes leaves no port to the old one, and connections of the old one go on',
    { timeout: 120_000 },
    async () => {
      const [a, b] = (await freePorts(2)) as [number, number]
      await writeRules({ 'splice-both': a, 'sockets-both': b })
      await up('--api', 'off')
      const long = await Promise.all([a, b].map((port) => Line.open(port)))
      const sessions = await Promise.all([a, b].map((port) => Session.open(port)))
      const successor = await up('--replace', '--api', 'off')
      successor.child.kill('SIGKILL')
      await successor.exit
      const fresh = await up('--api', 'off')
      for (const port of [a, b]) {
        const line = await Line.open(port)
        await line.close()
        const session = await Session.open(port)
        session.close()
      }
      for (const one of long) await one.talk()
      for (const one of long) await one.close()
      for (const one of sessions) one.close()
      fresh.child.kill('SIGTERM')
      expect(await fresh.exit).toBe(0)
    },
  )

  it(
    'the end of a rule is the end of its connections in the old one, too, whatever its name is by then',
    { timeout: 120_000 },
    async () => {
      const [a, b, c, d] = (await freePorts(4)) as [number, number, number, number]
      const ports = { 'splice-tcp': a, 'sockets-tcp': b, 'splice-both': c, 'sockets-both': d }
      await writeRules(ports, ', timeouts: { drain: 0s }')
      await up('--api', 'off')
      const [cut, removed, over, stays] = (await Promise.all(
        [a, b, c, d].map((port) => Line.open(port)),
      )) as [Line, Line, Line, Line]
      const session = await Session.open(d)
      const current = await up('--replace', '--api', 'off')
      naru('disable', 'splice-tcp', '--now')
      await cut.ended()
      naru('rename', 'sockets-tcp', 'another')
      await removed.talk()
      naru('rm', 'another', '--now')
      await removed.ended()
      naru('edit', 'splice-both', '--until', '2026-01-01T00:00:00Z')
      await over.ended()
      await stays.talk()
      await session.talk()
      await stays.close()
      session.close()
      current.child.kill('SIGTERM')
      expect(await current.exit).toBe(0)
      await stopAll()
    },
  )

  it('without --replace the second one is told where the first is', { timeout: 120_000 }, async () => {
    const [a] = (await freePorts(1)) as [number]
    await writeRules({ 'splice-tcp': a })
    const old = await up('--api', 'off')
    const second = new Up(folder, ['--api', 'off'])
    ups.push(second)
    expect(await second.exit).toBe(1)
    expect(second.complaints).toContain('--replace')
    old.child.kill('SIGTERM')
    expect(await old.exit).toBe(0)
  })
})

describeWith(
  { platform: 'linux', root: true, commands: ['unshare', 'nginx', 'sysctl'] },
  'naru up --replace under a rush',
  () => {
    beforeAll(built, 120_000)

    // In a network of its own, whose queues are as long as the machine allows.
    it.each(['splice', 'sockets'])(
      '%s: of 10,000 connections that are offered within a second none is refused or reset',
      async (engine) => {
        const program = join(import.meta.dirname, '../../bench/long/restarts.mjs')
        const argv = [program, engine, '10000', '1', '1']
        const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
        let said = ''
        child.stdout.on('data', (text: Buffer) => (said += text.toString()))
        child.stderr.on('data', (text: Buffer) => (said += text.toString()))
        const [code] = (await once(child, 'exit')) as [number | null]
        expect(code, said).toBe(0)
        expect(said).toContain('{"offered":10000,"answered":10000,')
      },
      180_000,
    )
  },
)

async function mayListen(host: string, port: number): Promise<boolean> {
  const server = createServer().listen(port, host)
  const may = await once(server, 'listening').then(
    () => true,
    () => false,
  )
  await new Promise((resolve) => server.close(resolve))
  await sleep(1)
  return may
}

/** Most clients that may wait on that port: what `ss` calls Send-Q of a listening socket. */
function queueOf(port: number): number {
  const line = execFileSync('ss', ['-ltnH', `sport = :${port}`], { encoding: 'utf8' })
  return Number(line.trim().split(/\s+/)[2])
}

/** A connection that lives long. */
class Line {
  readonly #socket: Socket
  #said = 0

  private constructor(socket: Socket) {
    this.#socket = socket.on('error', () => {})
  }

  static async open(port: number): Promise<Line> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    const line = new Line(socket)
    await line.talk()
    return line
  }

  async talk(): Promise<void> {
    const text = `line ${this.#said++}`
    this.#socket.write(text)
    const [answer] = (await once(this.#socket, 'data', { signal: AbortSignal.timeout(20_000) })) as [Buffer]
    expect(answer.toString()).toBe(text)
  }

  /** Others ended it. */
  async ended(): Promise<void> {
    this.#socket.resume()
    await expect.poll(() => this.#socket.closed, { timeout: 20_000 }).toBe(true)
  }

  async close(): Promise<void> {
    this.#socket.end()
    this.#socket.resume()
    await once(this.#socket, 'end', { signal: AbortSignal.timeout(20_000) })
  }
}

/** A UDP client; its target must go on seeing one and the same port. */
class Session {
  readonly #socket: UdpSocket
  readonly #port: number
  #seen = ''

  private constructor(socket: UdpSocket, port: number) {
    this.#socket = socket
    this.#port = port
  }

  static async open(port: number): Promise<Session> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const session = new Session(socket, port)
    session.#seen = await session.#ask()
    return session
  }

  async talk(): Promise<void> {
    expect(await this.#ask()).toBe(this.#seen)
  }

  close(): void {
    this.#socket.close()
  }

  async #ask(): Promise<string> {
    const answer = once(this.#socket, 'message', { signal: AbortSignal.timeout(20_000) })
    this.#socket.send('who', this.#port, '127.0.0.1')
    const [datagram] = (await answer) as [Buffer]
    return datagram.toString()
  }
}

/** One client after the other: connects, says a word, wants it back, leaves. */
async function knock(port: number, signal: AbortSignal): Promise<{ done: number; failures: string[] }> {
  const failures: string[] = []
  let done = 0
  while (!signal.aborted) {
    const failure = await tryOnce(port)
    await sleep(breathMs)
    done++
    if (failure !== null) failures.push(failure)
  }
  return { done, failures }
}

function tryOnce(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let heard = false
    const timer = setTimeout(() => socket.destroy(new Error('no answer within 30 s')), 30_000)
    socket.once('connect', () => socket.write('x'))
    socket.on('data', () => {
      heard = true
      socket.end()
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(heard ? null : 'closed without an answer')
    })
  })
}
