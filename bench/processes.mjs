// Processes of the bench: started with a time to become ready, measured from /proc, ended by their own pid.
import { execFile, execFileSync, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
const exec = promisify(execFile)
const ticksPerSecond = 100
const started = new Set()

/** How many a process here may hold; haproxy wants 2.5 for each connection. */
export const descriptorLimit = Number(
  /Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 1024,
)
export const mostConnections = Math.min(10_000, Math.floor((descriptorLimit - 500) / 2.5))

/**
 * Loopback up, and TCP without pacing: where a distribution's default is BBR, it paces each stream by a clock, and what
 * is measured is that clock. @param inside argv that runs a command in the network; none is this process's
 */
export function evenNetwork(inside = []) {
  for (const words of [
    ['ip', 'link', 'set', 'lo', 'up'],
    ['sysctl', '-qw', 'net.ipv4.tcp_congestion_control=reno'],
  ]) {
    const [command, ...rest] = [...inside, ...words]
    execFileSync(command, rest)
  }
}

/** Starts `argv`; ready once it prints `ready`, or listens on the port `ready`; at once where that is null. */
export async function start(argv, { ready = 'said', ...options } = {}) {
  const child = spawn(argv[0], argv.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], cwd: root, ...options })
  started.add(child)
  let said = ''
  const running = { pid: child.pid, child, output: () => said }
  child.stdin.on('error', () => {})
  child.stderr.on('data', (chunk) => (said += chunk))
  child.once('exit', () => started.delete(child))
  const line = new Promise((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      said += chunk
      if (ready === 'said' && /^ready/m.test(said)) resolve()
    })
    child.once('error', reject)
    child.once('exit', (code) =>
      reject(new Error(`${argv.slice(0, 3).join(' ')} ended (${code}): ${said.slice(-400)}`)),
    )
    setTimeout(
      () => reject(new Error(`${argv.slice(0, 3).join(' ')} is not ready: ${said.slice(-400)}`)),
      30_000,
    ).unref()
  })
  line.catch(() => {})
  if (ready === 'said') await line
  else if (typeof ready === 'number') await Promise.race([line, listening(ready)])
  return running
}

/** Runs to its end. @returns standard output */
export async function run(argv, { seconds = 60, ...options } = {}) {
  const { stdout } = await exec(argv[0], argv.slice(1), {
    timeout: seconds * 1000,
    maxBuffer: 64 << 20,
    cwd: root,
    ...options,
  })
  return stdout
}

export async function stop({ child }) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  const tree = treeOf(child.pid)
  child.kill('SIGTERM')
  const timer = setTimeout(() => {
    for (const pid of tree) kill(pid)
  }, 3000)
  await gone
  clearTimeout(timer)
}

export async function stopAll() {
  await Promise.all([...started].map((child) => stop({ child })))
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

/** A process and its descendants. */
export function treeOf(pid) {
  const parents = new Map()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = statOf(name)
    if (stat) parents.set(Number(name), Number(stat[1]))
  }
  const tree = [pid]
  for (const one of tree) for (const [child, parent] of parents) if (parent === one) tree.push(child)
  return tree
}

/** User and system time of the tree so far, also of children that ended. */
export function cpuSeconds(pid) {
  let ticks = 0
  for (const one of treeOf(pid)) {
    const stat = statOf(one)
    if (stat) ticks += stat.slice(11, 15).reduce((sum, text) => sum + Number(text), 0)
  }
  return ticks / ticksPerSecond
}

/** Resident bytes of the tree that no other shares, from smaps_rollup. */
export function privateBytes(pid) {
  let kib = 0
  for (const one of treeOf(pid)) {
    const rollup = readText(`/proc/${one}/smaps_rollup`)
    for (const [, size] of rollup.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB/gm)) kib += Number(size)
  }
  return kib * 1024
}

export function descriptors(pid) {
  return treeOf(pid).reduce((sum, one) => {
    try {
      return sum + readdirSync(`/proc/${one}/fd`).length
    } catch {
      return sum
    }
  }, 0)
}

function statOf(pid) {
  const text = readText(`/proc/${pid}/stat`)
  return text === '' ? null : text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function readText(path) {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

/** Below what the system gives to sockets without a port (`ip_local_port_range`): one of 512 clients' would take it. */
let nextPort = 10_000

/** A port that nobody has, TCP and UDP being alike on a quiet machine. */
export async function freePort() {
  for (;;) {
    const port = nextPort++
    if (await isFree(port)) return port
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Waits until something accepts on the port. */
export async function listening(port, host = '127.0.0.1') {
  for (let tries = 0; tries < 200; tries++) {
    if (await accepts(port, host)) return
    await sleep(50)
  }
  throw new Error(`nothing listens on ${port}`)
}

function accepts(port, host) {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    socket.once('connect', () => (socket.destroy(), resolve(true)))
    socket.once('error', () => resolve(false))
  })
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** @returns what a row that makes networks with packet filters lacks here, or null where nothing is missing. */
export function missingForNetworks() {
  return process.platform === 'linux' && process.getuid() === 0
    ? null
    : 'namespaces and nftables need root on Linux'
}
