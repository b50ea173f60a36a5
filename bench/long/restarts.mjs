// node bench/long/restarts.mjs [ENGINE [PER_SECOND [RESTARTS [SECONDS]]]]: `naru up --replace`, ten times, while 10,000 new
// connections a second are offered to one rule by the clock (an open loop) from before each restart until after it. It
// fails where one is refused or reset, or gets no answer. What comes faster than it is served waits in the listening
// socket's queue; past that the kernel drops a SYN, which its sender repeats after 1 s, 2 s, 4 s: late, not lost.
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startWeb } from '../peers.mjs'
import { cpuSeconds, evenNetwork, freePort, root, sleep, stopAll } from '../processes.mjs'

const [engine = 'splice', rateText = '10000', restartsText = '10', secondsText] = process.argv.slice(2)
const perSecond = Number(rateText)
const restarts = Number(restartsText)
/** Offered at most, each time: all of them fit into what the generators can hold. A figure of one's own is not kept. */
const mostSeconds = Number(secondsText ?? 5)
/** Each holds as many connections as a process may have descriptors, so that the load itself does not run out of them. */
const generators = 4
/** Offered before the new process is started, and after it serves. */
const [beforeMs, afterMs] = [300, 700]

if (process.getuid?.() === 0 && !process.env.NARU_BENCH_NETWORK) {
  const argv = ['--net', process.execPath, ...process.argv.slice(1)]
  const env = { ...process.env, NARU_BENCH_NETWORK: 'own' }
  process.exit(spawnSync('unshare', argv, { stdio: 'inherit', env }).status ?? 1)
}
if (process.env.NARU_BENCH_NETWORK) {
  evenNetwork()
  // The default of 4096 is a queue of 0.4 s at this rate: when it is full the kernel itself, restart or not, forgets
  // handshakes and answers their senders with RST (SyncookiesFailed).
  spawnSync('sysctl', ['-qw', 'net.core.somaxconn=65535', 'net.ipv4.ip_local_port_range=1024 65535'])
}

const folder = mkdtempSync(join(tmpdir(), 'naru-restarts-'))
const web = await startWeb()
const port = await freePort()
writeFileSync(
  join(folder, 'naru.yaml'),
  `rules:\n  one: { listen: "127.0.0.1:${port}", target: "127.0.0.1:${web.port}", engine: ${engine} }\n`,
)
let current = await up()
const rounds = []
try {
  for (let round = 1; round <= restarts; round++) {
    rounds.push(await restartUnderLoad())
    process.stdout.write(`${round}: ${JSON.stringify(rounds.at(-1))}\n`)
  }
} finally {
  // It ends those that it has succeeded, too.
  current.child.kill('SIGTERM')
  await current.exit
  await stopAll()
  rmSync(folder, { recursive: true, force: true })
}

const all = sumOf(rounds.map(({ counts }) => counts))
const kept = all.offered === all.answered
mkdirSync(join(root, 'bench/results/long'), { recursive: true })
const result = join(root, `bench/results/long/restarts-${engine}.json`)
if (secondsText === undefined)
  writeFileSync(
    result,
    `${JSON.stringify({ at: new Date().toISOString(), engine, perSecond, restarts, kept, all, rounds }, null, 1)}\n`,
  )
process.stdout.write(`${JSON.stringify(all)}: ${kept ? 'none refused, none reset' : 'LOST SOME'}\n`)
process.exit(kept ? 0 : 1)

async function restartUnderLoad() {
  const before = kernelCounters()
  const load = Array.from({ length: generators }, () => offer())
  await Promise.all(load.map(({ ready }) => ready))
  await sleep(beforeMs)
  const began = performance.now()
  const leaving = current
  current = await up('--replace')
  const replaceMs = Math.round(performance.now() - began)
  await sleep(afterMs)
  for (const { child } of load) child.stdin.end()
  const results = await Promise.all(load.map(({ result }) => result))
  const cpu = cpuSeconds(leaving.child.pid) + cpuSeconds(current.child.pid)
  const after = kernelCounters()
  await leaving.exit
  return {
    replaceMs,
    offeredForMs: Math.max(...results.map(({ offeredForMs }) => offeredForMs)),
    counts: sumOf(results.map(countsOf)),
    p50: Math.max(...results.map(({ p50 }) => p50)),
    p99: Math.max(...results.map(({ p99 }) => p99)),
    most: Math.max(...results.map(({ most }) => most)),
    cpuSeconds: Math.round(cpu * 100) / 100,
    kernel: Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]])),
    load: loadavg()[0],
  }
}

/** `naru up`, and when it serves. */
async function up(...args) {
  const argv = [join(root, 'dist/main.js'), 'up', '--config', join(folder, 'naru.yaml'), '--json', ...args]
  const env = { ...process.env, NARU_STATE: join(folder, 'state'), HOME: folder, LANG: 'C' }
  const child = spawn(process.execPath, [...argv, '--api', 'off'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let complaints = ''
  child.stderr.on('data', (text) => (complaints += text))
  const exit = new Promise((resolve) => child.once('exit', resolve))
  const line = new Promise((resolve) =>
    createInterface({ input: child.stdout }).once('line', () => resolve(true)),
  )
  if (!(await Promise.race([line, exit.then(() => false)]))) throw new Error(`naru up ended: ${complaints}`)
  return { child, exit }
}

function offer() {
  const request = 'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n'
  const argv = [
    join(root, 'bench/load/offer.mjs'),
    '127.0.0.1',
    port,
    perSecond / generators,
    mostSeconds,
    request,
  ]
  const child = spawn(process.execPath, argv.map(String), { stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdin.on('error', () => {})
  keepsTheClock(child.pid)
  let said = () => {}
  const ready = new Promise((resolve) => (said = resolve))
  const result = new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => (line === 'ready' ? said() : resolve(JSON.parse(line))))
    child.once('close', (code) => reject(new Error(`the load ended (${code})`)))
  })
  result.catch(() => {})
  return { child, ready, result }
}

/** Where cores are few, what offers comes before what serves: else the load waits for the server, and is none. */
function keepsTheClock(pid) {
  try {
    setPriority(pid, -3)
  } catch {
    // Not permitted: `offered` and `offeredForMs` then tell what was offered in truth.
  }
}

function countsOf({ offered, answered, refused, reset, timedOut, unanswered, notOffered, others }) {
  return { offered, answered, refused, reset, timedOut, unanswered, notOffered, ...others }
}

function sumOf(rows) {
  const sum = {}
  for (const row of rows)
    for (const [name, count] of Object.entries(row)) sum[name] = (sum[name] ?? 0) + count
  return sum
}

/** What the kernel of this network dropped because a queue was full. */
function kernelCounters() {
  const [names, values] = readFileSync('/proc/net/netstat', 'latin1')
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '))
  const wanted = [
    'ListenOverflows',
    'ListenDrops',
    'SyncookiesFailed',
    'TCPReqQFullDoCookies',
    'TCPSynRetrans',
  ]
  return Object.fromEntries(wanted.map((name) => [name, Number(values[names.indexOf(name)])]))
}
