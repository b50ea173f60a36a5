// The built splice engine in a process of its own, for what must not happen to the test's: calls denied, no koffi,
// no pipes, the process's end. Prints its answer as JSON.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import { connect, createServer } from 'node:net'

const task = process.argv[2]
const root = new URL('../../', import.meta.url)
const from = async (path) => await import(new URL(`dist/${path}`, root))

const { SpliceEngine } = await from('engines/splice/main/engine.js')
const { parseListen } = await from('model/listen.js')
const { parseTarget } = await from('model/target.js')

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const host = { sockets: { owner: () => Promise.resolve(null) } }
const engine = new SpliceEngine({ host, clock: null, log: silent }, { threads: 1, eventsBeforeRing: 0 })

const rule = (listen, target) => ({
  name: 'alone',
  enabled: true,
  listen: parseListen(listen),
  targets: [{ to: parseTarget(target), weight: 1, backup: false, name: null }],
  balance: 'round-robin',
  health: null,
  allow: [],
  deny: [],
  limits: { connections: null, perSource: null, newPerSecond: null, bytesPerSecond: null },
  timeouts: {
    connectMs: 5000,
    idleMs: 0,
    udpMs: 300_000,
    drainMs: 30_000,
    helloMs: 5000,
    keepaliveMs: 60_000,
  },
  source: 'auto',
  proxyUdp: 'every',
  acceptProxy: [],
})
const supports = () => engine.supports(rule('127.0.0.1:9', '127.0.0.1:10'), { platform: 'linux' })

/** A server that sends back what it gets, and a rule in front of it. */
async function echoBehindRule() {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address()
  await new Promise((resolve) => free.close(resolve))
  const effect = { amend: () => Promise.resolve(), undone: () => Promise.resolve() }
  const lease = await engine.open(
    {
      rule: rule(`127.0.0.1:${port}`, `127.0.0.1:${server.address().port}`),
      resolve: null,
      onEvent: () => {},
    },
    { record: { intend: () => Promise.resolve(effect) } },
  )
  return { lease, port, server }
}

const tasks = {
  supports,

  'supports-unloadable': () => {
    const load = Module._load
    Module._load = function (name, ...rest) {
      if (/(^|[\\/])koffi$/.test(name)) throw new Error("Cannot find module 'koffi'")
      return load.call(this, name, ...rest)
    }
    return supports()
  },

  // A seccomp filter (seccomp(2)) that answers one system call with EPERM.
  'supports-denied': () => {
    deny(process.env.DENY)
    return supports()
  },

  // pipe2 answers EPERM in every thread; bytes must arrive all the same.
  'bulk-without-pipes': async () => {
    const { lease, port } = await echoBehindRule()
    deny('pipe2')
    const bytes = randomBytes(8 << 20)
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    client.end(bytes)
    const hash = createHash('sha256')
    for await (const chunk of client) hash.update(chunk)
    const exact = hash.digest('hex') === createHash('sha256').update(bytes).digest('hex')
    for (let tries = 0; lease.counters().open > 0 && tries < 100; tries++)
      await new Promise((resolve) => setTimeout(resolve, 20))
    return { exact, finished: lease.counters().closed.finished }
  },

  // Messages one after another; where io_uring is denied they are moved all the same.
  conversation: async () => {
    const { port } = await echoBehindRule()
    if (process.env.DENY) deny(process.env.DENY)
    const client = connect({ port, host: '127.0.0.1' })
    let answered = 0
    let before = 0
    for (let i = 0; i < 100; i++) {
      client.write(`message ${i}`)
      const [answer] = await once(client, 'data')
      if (String(answer) === `message ${i}`) answered++
      // Node's own event loop may have rings as well (since Node 22).
      if (i === 0) before = rings()
    }
    return { answered, ring: rings() > before }
  },

  // The process exits while its thread waits for events.
  exit: async () => {
    const { lease, port } = await echoBehindRule()
    const client = connect({ port, host: '127.0.0.1' })
    client.write('x')
    await once(client, 'data')
    return { open: lease.counters().open }
  },
}

function rings() {
  const files = readdirSync('/proc/self/fd').map((fd) => linkOf(`/proc/self/fd/${fd}`))
  return files.filter((file) => file === 'anon_inode:[io_uring]').length
}

/** Null for a file that is closed by now. */
function linkOf(path) {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}

/** For all threads that there are (SECCOMP_FILTER_FLAG_TSYNC) or will be. */
function deny(name) {
  const koffi = createRequire(import.meta.url)('koffi')
  const numbers = {
    x64: { splice: 275, epoll_create1: 291, pipe2: 293, seccomp: 317, io_uring_setup: 425 },
    arm64: { splice: 76, epoll_create1: 20, pipe2: 59, seccomp: 277, io_uring_setup: 425 },
  }[process.arch]
  const step = (code, yes, no, value) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt16LE(code, 0)
    bytes.writeUInt8(yes, 2)
    bytes.writeUInt8(no, 3)
    bytes.writeUInt32LE(value, 4)
    return bytes
  }
  const filter = Buffer.concat([
    step(0x20, 0, 0, 0), // load the call's number
    step(0x15, 0, 1, numbers[name]), // is it this one?
    step(0x06, 0, 0, 0x0005_0001), // answer EPERM
    step(0x06, 0, 0, 0x7fff_0000), // allow
  ])
  const library = koffi.load(null)
  const prctl = library.func('int prctl(int option, int64_t a, int64_t b, int64_t c, int64_t d)')
  const malloc = library.func('void *malloc(size_t)')
  const memory = malloc(64)
  const view = new Uint8Array(koffi.view(memory, 64))
  view.set(filter, 16)
  const head = new DataView(view.buffer, view.byteOffset)
  head.setUint16(0, 4, true)
  head.setBigUint64(8, BigInt(memory) + 16n, true)
  if (prctl(38, 1, 0, 0, 0) !== 0) throw new Error('no_new_privs')
  const syscall = library.func('long syscall(long number, long a, long b, int64_t c)')
  if (syscall(numbers.seccomp, 1, 1, Number(memory)) !== 0) throw new Error('seccomp')
}

process.stdout.write(`${JSON.stringify(await tasks[task]())}\n`)
process.exit()
