// Round trips of 64 bytes over one connection: alone, and while 32 others ask as fast as they can.
import { load, startLoad, startPeer } from '../peers.mjs'
import { sleep } from '../processes.mjs'

const peerNames = ['splice', 'haproxy', 'nginx', 'socket-proxyd', 'sockets']

export const title = 'round trip of 64 bytes over TCP, idle and beside 32 busy connections'
/** Each peer is measured once before it counts. */
export const warms = 1
export const metrics = {
  idle50: { label: 'p50 µs, idle', better: 'less' },
  idle99: { label: 'p99 µs, idle', better: 'less' },
  loaded50: { label: 'p50 µs, loaded', better: 'less' },
  loaded99: { label: 'p99 µs, loaded', better: 'less' },
}
export const targets = ['idle50', 'idle99', 'loaded50', 'loaded99'].map((metric) => ({
  metric,
  ours: 'splice',
  peer: 'haproxy',
  atMost: 1,
}))

export async function prepare({ seconds }) {
  const echo = await startLoad('tcp-echo.mjs')
  const peers = {}
  for (const name of peerNames) {
    const peer = await startPeer(name, echo.port)
    if (peer) peers[name] = () => measure(peer, seconds)
  }
  return { peers }
}

async function measure({ port }, seconds) {
  const idle = JSON.parse(await load('rtt.mjs', '127.0.0.1', port, seconds, 64))
  const busy = load('ping.mjs', 'tcp', '127.0.0.1', port, seconds + 1, 64, 32)
  await sleep(300)
  const loaded = JSON.parse(await load('rtt.mjs', '127.0.0.1', port, seconds, 64))
  await busy
  return { idle50: idle.p50, idle99: idle.p99, loaded50: loaded.p50, loaded99: loaded.p99 }
}
