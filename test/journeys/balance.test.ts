/**
 * Three real nginx behind one port, one of them killed and started again at random: no request is lost but those that
 * the killed one had in its hands, and all three get their share. NARU_REQUESTS=100000 asks for more than CI does.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createForwarder } from '../../src/index.ts'
import { built } from '../built.ts'
import { freePorts } from '../free-port.ts'
import { describeWith, findCommand } from '../needs.ts'

const requests = Number(process.env.NARU_REQUESTS ?? 20_000)
const perConnection = 10
const clients = 16
const kills = 4
/** A connection that ends within this time of a kill was in its hands. */
const aroundKillMs = 500

/** One process, so that killing it ends all of it. */
class Nginx {
  readonly name: string
  readonly port: number
  readonly #folder: string
  #child: ChildProcess | null = null

  constructor(name: string, port: number, folder: string) {
    this.name = name
    this.port = port
    this.#folder = join(folder, name)
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
    const file = join(this.#folder, 'nginx.conf')
    await writeFile(
      file,
      `daemon off; master_process off; pid ${this.#folder}/pid; error_log ${this.#folder}/error.log;
events { worker_connections 512; }
http {
  access_log off; keepalive_requests 1000;
  client_body_temp_path ${this.#folder}; proxy_temp_path ${this.#folder}; fastcgi_temp_path ${this.#folder};
  uwsgi_temp_path ${this.#folder}; scgi_temp_path ${this.#folder};
  server { listen 127.0.0.1:${this.port}; location / { return 200 "${this.name}"; } }
}
`,
    )
    this.#child = spawn(findCommand('nginx') as string, ['-c', file, '-p', this.#folder], { stdio: 'ignore' })
    while (!(await answers(this.port))) await sleep(20)
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (!child) return
    this.#child = null
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => (socket.destroy(), resolve(true)))
    socket.once('error', () => resolve(false))
  })
}

interface Tally {
  readonly byServer: Record<string, number>
  /** When a connection that was cut short began and ended. */
  readonly lost: { readonly began: number; readonly ended: number; readonly how: string }[]
  done: number
}

/** One connection with some requests on it. */
function ask(port: number, tally: Tally): Promise<void> {
  const began = performance.now()
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let left = perConnection
    let heard = ''
    const next = (): boolean => socket.write('GET / HTTP/1.1\r\nHost: naru\r\n\r\n')
    socket.setEncoding('latin1')
    socket.once('connect', next)
    socket.on('data', (text) => {
      heard += String(text)
      const [, name] = /\r\n\r\n([abc])$/.exec(heard) ?? []
      if (name === undefined) return
      heard = ''
      tally.byServer[name] = (tally.byServer[name] ?? 0) + 1
      tally.done++
      if (--left > 0) next()
      else socket.end()
    })
    let how = 'closed'
    socket.once('error', (error: NodeJS.ErrnoException) => (how = error.code ?? error.message))
    socket.once('close', () => {
      if (left > 0) tally.lost.push({ began, ended: performance.now(), how })
      resolve()
    })
  })
}

async function offer(port: number, count: number): Promise<Tally> {
  const tally: Tally = { byServer: {}, lost: [], done: 0 }
  let begun = 0
  const client = async (): Promise<void> => {
    while (begun < count) {
      begun += perConnection
      await ask(port, tally)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  return tally
}

/** How far the fullest and the emptiest are from an equal share. */
function spread({ byServer, done }: Tally): number {
  const shares = ['a', 'b', 'c'].map((name) => (byServer[name] ?? 0) / (done / 3))
  return Math.max(...shares.map((share) => Math.abs(share - 1)))
}

describeWith({ commands: ['nginx'], platform: 'linux' }, 'three nginx behind one port', () => {
  let folder: string
  let servers: Nginx[] = []

  beforeAll(async () => {
    await built()
    folder = await mkdtemp(join(tmpdir(), 'naru-balance-'))
    const ports = await freePorts(3)
    servers = ports.map((port, at) => new Nginx('abc'[at] as string, port, folder))
    for (const server of servers) await server.start()
  }, 120_000)
  afterAll(async () => {
    for (const server of servers) await server.kill()
    await rm(folder, { recursive: true, force: true })
  })

  it.each(['splice', 'sockets'] as const)(
    '%s: nothing is lost but what a killed one had in its hands, and all get their share',
    { timeout: 300_000 },
    async (engine) => {
      const [listen] = (await freePorts(1)) as [number]
      const rule = {
        listen: `127.0.0.1:${listen}`,
        targets: servers.map(({ port }) => ({ to: `127.0.0.1:${port}` })),
        balance: 'round-robin' as const,
        health: { every: '250ms', rise: 1, fall: 3 },
        engine,
      }
      await using naru = await createForwarder({ rules: { web: rule }, stateFolder: join(folder, engine) })
      const third = Math.ceil(requests / 3 / (engine === 'splice' ? 1 : 4))

      const calm = await offer(listen, third)
      expect(calm.lost).toEqual([])
      expect(spread(calm)).toBeLessThan(0.05)

      const killedAt: number[] = []
      const offering = offer(listen, third)
      const ended = new AbortController()
      void offering.then(() => ended.abort())
      for (let kill = 0; kill < kills && !ended.signal.aborted; kill++) {
        await sleep(100 + Math.random() * 300)
        const victim = servers[Math.floor(Math.random() * servers.length)] as Nginx
        killedAt.push(performance.now())
        await victim.kill()
        await sleep(100 + Math.random() * 400)
        await victim.start()
      }
      const rough = await offering
      for (const { began, ended, how } of rough.lost) {
        const inItsHands = killedAt.some((at) => began <= at + aroundKillMs && ended >= at)
        expect({ how, inItsHands }).toEqual({ how, inItsHands: true })
      }
      expect(rough.lost.length).toBeLessThanOrEqual(killedAt.length * clients)
      expect(rough.done + rough.lost.length * perConnection).toBeGreaterThanOrEqual(third)

      await allUp(listen)
      const calmAgain = await offer(listen, third)
      expect(calmAgain.lost).toEqual([])
      expect(spread(calmAgain)).toBeLessThan(0.05)
      const { counters } = await naru.rules.get('web')
      expect(counters.closed['no-such-name'] ?? 0).toBe(0)
    },
  )

  /** Until each has answered again: a target comes up with its next check. */
  async function allUp(listen: number): Promise<void> {
    const limit = performance.now() + 10_000
    for (;;) {
      const tally = await offer(listen, 6 * perConnection)
      if (spread(tally) < 0.5) return
      if (performance.now() > limit) throw new Error(`never all up: ${JSON.stringify(tally.byServer)}`)
      await sleep(100)
    }
  }
})
