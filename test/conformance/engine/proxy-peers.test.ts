/** The PROXY protocol with those who wrote it: haproxy in front of us and behind us, nginx behind us. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { parseCidr } from '../../../src/base/address.ts'
import { makeSocketsEngine } from '../../../src/engines/sockets/engine.ts'
import { end } from '../../lab/namespaces.ts'
import { describeWith, findCommand } from '../../needs.ts'
import { freePort } from '../../free-port.ts'
import { echo, readAll, readSome, World } from './world.ts'

/** Starts a server on a configuration of its own and waits until it accepts. @returns what it has said so far */
async function started(
  world: World,
  command: string,
  text: (folder: string) => string,
  port: number,
): Promise<() => string> {
  const folder = await mkdtemp(join(tmpdir(), 'naru-peer-'))
  const file = join(folder, 'peer.conf')
  await writeFile(file, text(folder))
  const flags = command === 'nginx' ? ['-p', folder, '-c', file] : ['-db', '-f', file]
  const child = spawn(findCommand(command)!, flags, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  world.defer(async () => {
    await end(child)
    await rm(folder, { recursive: true, force: true })
  })
  for (let tries = 0; tries < 200; tries++) {
    const probe = connect({ port, host: '127.0.0.1' })
    const up = await new Promise((resolve) =>
      probe.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    )
    probe.destroy()
    if (up) return () => said
    await sleep(25)
  }
  throw new Error(`${command} does not accept`)
}

const haproxyHead =
  'global\n maxconn 100\ndefaults\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n'

async function ask(socket: Socket): Promise<{ from: string; answer: string }> {
  const from = `127.0.0.1:${socket.localPort}`
  socket.end('GET / HTTP/1.0\r\n\r\n')
  return { from, answer: String(await readAll(socket)).split('\r\n\r\n')[1] ?? '' }
}

describeWith({ commands: ['haproxy'] }, 'with haproxy', () => {
  it.each(['proxy-v1', 'proxy-v2'] as const)('it understands our %s', async (source) => {
    await using world = new World(makeSocketsEngine)
    const at = await freePort()
    const answer = 'http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]"'
    const config = `${haproxyHead}frontend f\n mode http\n bind 127.0.0.1:${at} accept-proxy\n ${answer}\n`
    await started(world, 'haproxy', () => config, at)
    const { port } = await world.forward(`127.0.0.1:${at}`, { source })
    const { from, answer: said } = await ask(await world.dial(port))
    expect(said).toBe(from)
  })

  it.each(['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'])(
    'we understand its %s',
    async (how) => {
      await using world = new World(makeSocketsEngine)
      const target = await world.target(echo)
      const { port } = await world.forward(target.at, { acceptProxy: [parseCidr('127.0.0.1')] })
      const at = await freePort()
      const config = `${haproxyHead}listen l\n mode tcp\n unique-id-format %[uuid()]\n bind 127.0.0.1:${at}\n server naru 127.0.0.1:${port} ${how}\n`
      await started(world, 'haproxy', () => config, at)
      const client = await world.dial(at)
      const from = `127.0.0.1:${client.localPort}`
      client.write('through both')
      expect(String(await readSome(client, 12))).toBe('through both')
      client.end()
      await once(client, 'close')
      const record = await world.closed(({ client: who }) => who === from)
      expect(record).toMatchObject({ bytesToTarget: 12, bytesToClient: 12 })
    },
  )
})

/** Of a rule that checks a target often. @returns once it was asked some times more */
async function checkedFor(world: World, at: number, source: 'proxy-v1' | 'proxy-v2'): Promise<void> {
  const { lease } = await world.forward(`127.0.0.1:${at}`, {
    source,
    health: { everyMs: 50, rise: 1, fall: 1 },
  })
  await sleep(600)
  await lease.release({ signal: AbortSignal.timeout(5000) })
}

describeWith({ commands: ['haproxy', 'nginx'] }, 'health checks', () => {
  it.each(['proxy-v1', 'proxy-v2'] as const)('with %s are no error in haproxy’s log', async (source) => {
    await using world = new World(makeSocketsEngine)
    const at = await freePort()
    const target = await world.target(echo)
    const config = `${haproxyHead} log stdout format raw local0\n option tcplog\nlisten l\n mode tcp\n bind 127.0.0.1:${at} accept-proxy\n server s ${target.at}\n`
    const said = await started(world, 'haproxy', () => config, at)
    // Whoever waited for it to start said no header.
    await expect.poll(said).toContain('waiting for PROXY protocol header\n')
    const before = said()
    await checkedFor(world, at, source)
    await expect.poll(() => said().length).toBeGreaterThan(before.length)
    // `--`: ended in order. An error is a line without them, or with P, S, C and where.
    for (const line of said().slice(before.length).trim().split('\n')) expect(line).toMatch(/ l\/s .* -- /)
  })

  it.each(['proxy-v1', 'proxy-v2'] as const)('with %s are no error in nginx’s log', async (source) => {
    await using world = new World(makeSocketsEngine)
    const at = await freePort()
    const config = (folder: string): string =>
      `daemon off; pid ${folder}/pid; error_log stderr notice; events {}
       http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
       uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
       server { listen 127.0.0.1:${at} proxy_protocol; return 204; } }`
    const said = await started(world, 'nginx', config, at)
    await checkedFor(world, at, source)
    expect(said()).not.toMatch(/\[(warn|error|crit|alert)\]/)
    expect(said()).not.toContain('client')
  })
})

describeWith({ commands: ['nginx'] }, 'with nginx', () => {
  it.each(['proxy-v1', 'proxy-v2'] as const)('it understands our %s', async (source) => {
    await using world = new World(makeSocketsEngine)
    const at = await freePort()
    const config = (folder: string): string =>
      `daemon off; pid ${folder}/pid; error_log stderr; events {}
       http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
       uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
       server { listen 127.0.0.1:${at} proxy_protocol; return 200 "$proxy_protocol_addr:$proxy_protocol_port"; } }`
    await started(world, 'nginx', config, at)
    const { port } = await world.forward(`127.0.0.1:${at}`, { source })
    const { from, answer } = await ask(await world.dial(port))
    expect(answer).toBe(from)
  })
})
