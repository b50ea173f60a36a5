// A new connection for every request.
import { startPeer, startWeb, wrk } from '../peers.mjs'
import { cpuSeconds } from '../processes.mjs'
import { peerNames } from './bulk.mjs'

export const title = 'new connections, one HTTP request each, 32 at once'
/** Each peer is measured so often before it counts: a compiler (JIT) is busy for the first 15,000 connections. */
export const warms = 2
export const metrics = {
  rate: { label: 'connections/s', better: 'more' },
  cpu: { label: 'CPU µs/connection', better: 'less' },
}
export const targets = [{ metric: 'rate', ours: 'splice', peer: 'haproxy', atLeast: 1 }]

export async function prepare({ seconds }) {
  const web = await startWeb()
  const peers = {}
  for (const name of peerNames) {
    const peer = await startPeer(name, web.port)
    if (peer) peers[name] = () => measure(peer, seconds)
  }
  return { peers }
}

async function measure({ port, pid }, seconds) {
  const before = cpuSeconds(pid)
  const { requests, requestsPerSecond } = await wrk(port, { seconds, connections: 32, close: true })
  return { rate: requestsPerSecond, cpu: ((cpuSeconds(pid) - before) / requests) * 1e6 }
}
