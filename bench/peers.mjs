// Who is compared: our engines, and the field as Debian packages it, each with one thread. A peer forwards one TCP or
// UDP port of loopback to another. What is not installed is left out, and said.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, listening, mostConnections, root, run, sleep, start, stop } from './processes.mjs'

const node = process.execPath
const naru = (engine, env = {}) => ({
  ours: true,
  udp: true,
  begin: (port, target, protocol) =>
    start(
      [
        node,
        join(root, 'bench/peers/naru.mjs'),
        engine,
        `127.0.0.1:${port}/${protocol}`,
        `127.0.0.1:${target}`,
      ],
      { env: { ...process.env, ...env } },
    ),
})

const peers = {
  splice: naru('splice'),
  // As without CAP_BPF and CAP_NET_ADMIN: every datagram passes through our sockets.
  'splice-unprivileged': naru('splice', { NARU_NO_OFFLOAD: '1' }),
  sockets: naru('sockets'),
  haproxy: {
    command: '/usr/sbin/haproxy',
    begin: (port, target) =>
      start(['/usr/sbin/haproxy', '-db', '-f', written('haproxy.cfg', haproxyConfig(port, target))], {
        ready: port,
      }),
  },
  nginx: {
    command: '/usr/lib/nginx/modules/ngx_stream_module.so',
    udp: true,
    begin: async (port, target, protocol) => {
      const started = await start(nginxArgv(nginxStream(port, target, protocol)), {
        ready: protocol === 'tcp' ? port : null,
      })
      if (protocol === 'udp') await sleep(300)
      return started
    },
  },
  socat: {
    command: '/usr/bin/socat',
    begin: (port, target) =>
      start(
        [
          '/usr/bin/socat',
          `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay`,
          `TCP:127.0.0.1:${target},nodelay`,
        ],
        { ready: port },
      ),
  },
  'socket-proxyd': {
    command: '/lib/systemd/systemd-socket-proxyd',
    begin: (port, target) =>
      start(
        [
          '/usr/bin/systemd-socket-activate',
          '-l',
          `127.0.0.1:${port}`,
          '/lib/systemd/systemd-socket-proxyd',
          `127.0.0.1:${target}`,
        ],
        { ready: port },
      ),
  },
  'node-pipe': {
    begin: (port, target) =>
      start([node, join(root, 'bench/peers/node-pipe.mjs'), String(port), String(target)]),
  },
}

/** Starts a peer that forwards to `target`. Null where it is not installed or cannot do the protocol. */
export async function startPeer(name, target, protocol = 'tcp') {
  const peer = peers[name]
  if (peer.command && !existsSync(peer.command)) return null
  if (protocol === 'udp' && !peer.udp) return null
  const port = await freePort()
  const started = await peer.begin(port, target, protocol)
  return { name, port, pid: started.pid, stop: () => stop(started) }
}

/** A web server that answers every request with 100 bytes. */
export async function startWeb() {
  const port = await freePort()
  const body = 'n'.repeat(100)
  const server = await start(
    nginxArgv(
      `http { access_log off; keepalive_requests 1000000000; server { listen 127.0.0.1:${port} backlog=4096; ` +
        `location / { default_type text/plain; return 200 "${body}"; } } }`,
    ),
    { ready: port },
  )
  return { port, stop: () => stop(server) }
}

export async function startLoad(script, ...args) {
  const port = await freePort()
  const server = await start([node, join(root, 'bench/load', script), String(port), ...args])
  return { port, pid: server.pid, stop: () => stop(server) }
}

export async function startIperf() {
  const port = await freePort()
  const server = await start(['iperf3', '-s', '-B', '127.0.0.1', '-p', String(port)], { ready: null })
  await sleep(300)
  return { port, stop: () => stop(server) }
}

export const load = (script, ...args) => run([node, join(root, 'bench/load', script), ...args.map(String)])

export async function iperf(port, { seconds, streams = 1, reverse = false }) {
  const argv = [
    'iperf3',
    '-c',
    '127.0.0.1',
    '-p',
    String(port),
    '-t',
    String(seconds),
    '-P',
    String(streams),
    '-J',
  ]
  if (reverse) argv.push('-R')
  const { end, error } = JSON.parse(await run(argv))
  if (!end?.sum_received?.bytes) throw new Error(`iperf3: ${error ?? 'nothing arrived'}`)
  return { bytes: end.sum_received.bytes, bitsPerSecond: end.sum_received.bits_per_second }
}

export async function wrk(port, { seconds, connections, close = false }) {
  const argv = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency']
  if (close) argv.push('-H', 'Connection: close')
  const text = await run([...argv, `http://127.0.0.1:${port}/`])
  return {
    requestsPerSecond: Number(/Requests\/sec: +([\d.]+)/.exec(text)?.[1] ?? 0),
    requests: Number(/(\d+) requests in/.exec(text)?.[1] ?? 0),
  }
}

/** Gone when the bench ends. */
function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'naru-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function written(name, text) {
  const path = join(temporaryFolder(), name)
  writeFileSync(path, text)
  return path
}

function haproxyConfig(port, target) {
  return `global
  nbthread 1
  maxconn ${mostConnections}
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 10m
  timeout server 10m
listen bench
  bind 127.0.0.1:${port}
  server target 127.0.0.1:${target}
`
}

function nginxStream(port, target, protocol) {
  const udp = protocol === 'udp' ? ' udp' : ''
  const own = udp ? '' : ' backlog=4096'
  return `stream { server { listen 127.0.0.1:${port}${udp}${own}; proxy_pass 127.0.0.1:${target}; proxy_timeout 10m; ${udp ? '' : 'tcp_nodelay on;'} } }`
}

function nginxArgv(section) {
  const folder = temporaryFolder()
  const config = join(folder, 'nginx.conf')
  const module = section.startsWith('stream')
    ? 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n'
    : ''
  writeFileSync(
    config,
    `${module}daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log crit;
events { worker_connections ${mostConnections * 2 + 100}; }
${section}
`,
  )
  return ['/usr/sbin/nginx', '-p', folder, '-c', config]
}

export { listening }
