// One and eight bulk streams: throughput, and the relay's own CPU time for each gigabyte.
import { iperf, startIperf, startPeer } from '../peers.mjs'
import { cpuSeconds } from '../processes.mjs'

export const title = 'bulk TCP through one relay on loopback, 1 and 8 streams'
/** Each peer is measured once before it counts. */
export const warms = 1
export const metrics = {
  gbps1: { label: 'Gbit/s, 1 stream', better: 'more' },
  cpu1: { label: 'CPU s/GB, 1 stream', better: 'less' },
  gbps8: { label: 'Gbit/s, 8 streams', better: 'more' },
  cpu8: { label: 'CPU s/GB, 8 streams', better: 'less' },
}
export const targets = [
  { metric: 'cpu1', ours: 'splice', peer: 'haproxy', atMost: 0.55 },
  { metric: 'cpu1', ours: 'splice', peer: 'socket-proxyd', atMost: 1 },
  { metric: 'gbps1', ours: 'splice', peer: 'haproxy', atLeast: 1.25 },
  { metric: 'gbps8', ours: 'splice', peer: 'haproxy', atLeast: 1.25 },
  { metric: 'gbps1', ours: 'sockets', peer: 'node-pipe', atLeast: 0.95 },
]
export const peerNames = ['splice', 'haproxy', 'nginx', 'socket-proxyd', 'socat', 'sockets', 'node-pipe']

export async function prepare({ seconds }) {
  const target = await startIperf()
  const peers = {}
  for (const name of peerNames) {
    let peer = await startPeer(name, target.port)
    if (!peer) continue
    peers[name] = async () => {
      try {
        return await measure(peer, seconds)
      } catch (error) {
        // socket-proxyd stops carrying now and then when eight streams begin at once: the next run has a new one.
        await peer.stop()
        peer = await startPeer(name, target.port)
        throw error
      }
    }
  }
  return { peers }
}

async function measure({ port, pid }, seconds) {
  const figures = {}
  for (const streams of [1, 8]) {
    const before = cpuSeconds(pid)
    const { bytes, bitsPerSecond } = await iperf(port, { seconds, streams })
    figures[`gbps${streams}`] = bitsPerSecond / 1e9
    figures[`cpu${streams}`] = (cpuSeconds(pid) - before) / (bytes / 1e9)
  }
  return figures
}
