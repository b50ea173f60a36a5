// UDP: round trips of 64 bytes from few and from many clients, and 1,200-byte datagrams one way without loss.
import { load, startLoad, startPeer } from '../peers.mjs'
import { cpuSeconds, freePort } from '../processes.mjs'

export const title = 'UDP: 64-byte round trips with 8 and 512 clients, 1,200 bytes one way'
/** Each peer is measured once before it counts. */
export const warms = 1
export const metrics = {
  trips8: { label: 'trips/s, 8', better: 'more' },
  trips512: { label: 'trips/s, 512', better: 'more' },
  oneWay: { label: 'datagrams/s one way', better: 'more' },
  cpu: { label: 'CPU µs/trip, 8', better: 'less' },
}
export const targets = [
  { metric: 'trips8', ours: 'splice', peer: 'nginx', atLeast: 1.8 },
  { metric: 'trips512', ours: 'splice', peer: 'nginx', atLeast: 1.8 },
  { metric: 'oneWay', ours: 'splice', peer: 'nginx', atLeast: 2 },
]

export async function prepare({ seconds }) {
  const echo = await startLoad('udp-echo.mjs')
  const peers = {}
  for (const name of ['splice', 'splice-unprivileged', 'nginx', 'sockets']) {
    const sinkPort = await freePort()
    const peer = await startPeer(name, echo.port, 'udp')
    const away = await startPeer(name, sinkPort, 'udp')
    if (peer && away) peers[name] = () => measure(peer, away, sinkPort, seconds)
  }
  return { peers }
}

async function measure({ port, pid }, away, sinkPort, seconds) {
  const before = cpuSeconds(pid)
  const few = await ping(port, seconds, 8)
  const cpu = ((cpuSeconds(pid) - before) / few.trips) * 1e6
  const many = await ping(port, seconds, 512)
  const oneWay = JSON.parse(
    await load('udp-stream.mjs', '127.0.0.1', away.port, '127.0.0.1', sinkPort, seconds, 1200),
  )
  return {
    trips8: few.trips / few.seconds,
    trips512: many.trips / many.seconds,
    oneWay: oneWay.datagrams / oneWay.seconds,
    cpu,
    lost: few.lost + many.lost + oneWay.lost,
  }
}

const ping = async (port, seconds, clients) =>
  JSON.parse(await load('ping.mjs', 'udp', '127.0.0.1', port, seconds, 64, clients))
