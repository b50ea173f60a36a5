// Requests of 100 bytes over connections that stay: how many a second, and the relay's CPU time for each.
import { startPeer, startWeb, wrk } from '../peers.mjs'
import { cpuSeconds } from '../processes.mjs'
import { peerNames } from './bulk.mjs'

export const title = '100-byte HTTP answers over keep-alive, 32 and 512 connections'
/** Each peer is measured once before it counts. */
export const warms = 1
export const metrics = {
  rate32: { label: 'requests/s, 32', better: 'more' },
  cpu32: { label: 'CPU µs/request, 32', better: 'less' },
  rate512: { label: 'requests/s, 512', better: 'more' },
  cpu512: { label: 'CPU µs/request, 512', better: 'less' },
}
export const targets = [
  { metric: 'rate32', ours: 'splice', peer: 'haproxy', atLeast: 1 },
  { metric: 'cpu32', ours: 'splice', peer: 'haproxy', atMost: 1 },
  { metric: 'rate512', ours: 'splice', peer: 'haproxy', atLeast: 1 },
  { metric: 'cpu512', ours: 'splice', peer: 'haproxy', atMost: 1 },
  { metric: 'rate32', ours: 'sockets', peer: 'node-pipe', atLeast: 0.95 },
]

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
  const figures = {}
  for (const connections of [32, 512]) {
    const before = cpuSeconds(pid)
    const { requests, requestsPerSecond } = await wrk(port, { seconds, connections })
    figures[`rate${connections}`] = requestsPerSecond
    figures[`cpu${connections}`] = ((cpuSeconds(pid) - before) / requests) * 1e6
  }
  return figures
}
