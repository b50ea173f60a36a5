// Connections that say nothing: what each costs the relay in memory of its own and in descriptors.
import { startLoad, startPeer } from '../peers.mjs'
import { descriptors, mostConnections, privateBytes, root, sleep, start, stop } from '../processes.mjs'

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
      return await hold(peer)
    } finally {
      await peer.stop()
    }
  }
  return {
    peers: Object.fromEntries(
      ['splice', 'haproxy', 'nginx', 'socket-proxyd', 'sockets', 'node-pipe'].map((name) => [
        name,
        measured(name),
      ]),
    ),
  }
}

/** A few are opened first, so that what a relay sets up once is not counted. */
async function hold({ port, pid }) {
  const warm = await holder(port, 50)
  await sleep(500)
  const before = { bytes: privateBytes(pid), fds: descriptors(pid) }
  const count = mostConnections - 100
  const all = await holder(port, count)
  await sleep(1000)
  const after = { bytes: privateBytes(pid), fds: descriptors(pid) }
  await stop(all)
  await stop(warm)
  return { kib: (after.bytes - before.bytes) / count / 1024, fds: (after.fds - before.fds) / count, count }
}

async function holder(port, count) {
  const script = `${root}bench/load/hold.mjs`
  return start([process.execPath, script, '127.0.0.1', String(port), String(count)])
}
