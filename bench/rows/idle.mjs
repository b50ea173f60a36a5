// Connections that say nothing: what each costs the relay in memory of its own and in descriptors.
import { startLoad, startPeer } from '../peers.mjs'
import {
  descriptorLimit,
  descriptors,
  mostConnections,
  privateBytes,
  root,
  sleep,
  start,
  stop,
} from '../processes.mjs'

/** So many are held before the first look, and were held and ended before that. */
const first = 1000
/** A connection through systemd-socket-proxyd has two sockets and two pipes. */
const descriptorsEach = { 'socket-proxyd': 6 }

export const title = `memory and descriptors of an idle TCP connection, ${mostConnections} held`
export const metrics = {
  kib: { label: 'KiB a connection', better: 'less' },
  fds: { label: 'descriptors', better: 'less' },
}
export const targets = [
  { metric: 'kib', ours: 'splice', peer: null, atMost: 1.5 },
  { metric: 'fds', ours: 'splice', peer: null, atMost: 2.05 },
  { metric: 'kib', ours: 'sockets', peer: null, atMost: 15 },
]

export async function prepare() {
  const target = await startLoad('greet.mjs')
  const measured = (name) => async () => {
    const peer = await startPeer(name, target.port)
    try {
      return await hold(peer, mostOf(name))
    } finally {
      await peer.stop()
    }
  }
  return {
    peers: Object.fromEntries(
      ['splice', 'haproxy', 'nginx', 'socket-proxyd', 'sockets'].map((name) => [name, measured(name)]),
    ),
  }
}

const mostOf = (name) =>
  Math.min(mostConnections - 100, Math.floor((descriptorLimit - 500) / (descriptorsEach[name] ?? 2)))

/**
 * The slope between `first` held and all held: what a relay sets up once (buffers, compiled code, the young generation
 * of a garbage collector) has grown by then, and what it keeps of ended connections is in use again.
 */
async function hold({ port, pid }, most) {
  await stop(await holder(port, first))
  await sleep(300)
  const few = await holder(port, first)
  await sleep(500)
  const before = { bytes: privateBytes(pid), fds: descriptors(pid) }
  const count = most - first
  const rest = await holder(port, count)
  await sleep(1000)
  const after = { bytes: privateBytes(pid), fds: descriptors(pid) }
  await stop(rest)
  await stop(few)
  return { kib: (after.bytes - before.bytes) / count / 1024, fds: (after.fds - before.fds) / count, count }
}

async function holder(port, count) {
  const script = `${root}bench/load/hold.mjs`
  return start([process.execPath, script, '127.0.0.1', String(port), String(count)])
}
