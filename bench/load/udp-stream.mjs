// udp-stream.mjs ADDRESS PORT SINK_ADDRESS SINK_PORT SECONDS SIZE: one way, as fast as none is lost. The sink (a
// thread here) counts in shared memory, and no more than 48 datagrams are under way, which every socket on the path
// can hold. Prints { datagrams, lost }.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { batch, bound, c, connected, datagram, setOption, setReceiveLimit } from './libc.mjs'

const underWay = 48
if (isMainThread) {
  const [address, port, sinkAddress, sinkPort, seconds, size] = process.argv.slice(2)
  const shared = new SharedArrayBuffer(8)
  const seen = new Int32Array(shared)
  const sink = new Worker(new URL(import.meta.url), { workerData: { shared, sinkAddress, sinkPort } })
  await new Promise((resolve) => sink.once('message', resolve))
  const fd = connected(address, Number(port), datagram)
  const messages = batch(16, Number(size))
  // The first one makes the session.
  c.sendmmsg(fd, messages.at, 1, 0)
  Atomics.wait(seen, 0, 0, 1000)
  let sent = 1
  let lost = 0
  let stuckSince = 0
  const first = Atomics.load(seen, 0)
  const begin = performance.now()
  const end = begin + Number(seconds) * 1000
  for (let now = begin; now < end; now = performance.now()) {
    const got = Atomics.load(seen, 0)
    const room = underWay - (sent - lost - got)
    if (room >= 16) {
      sent += Math.max(0, c.sendmmsg(fd, messages.at, 16, 0))
      stuckSince = 0
    } else {
      Atomics.wait(seen, 0, got, 1)
      stuckSince ||= now
      if (now - stuckSince > 100) {
        lost = sent - Atomics.load(seen, 0)
        stuckSince = 0
      }
    }
  }
  const took = (performance.now() - begin) / 1000
  const datagrams = Atomics.load(seen, 0) - first
  // A thread inside a call cannot be ended from outside: tell it, and wake it.
  Atomics.store(seen, 1, 1)
  c.send(connected(sinkAddress, Number(sinkPort), datagram), messages.at, 1, 0)
  await new Promise((resolve) => sink.once('exit', resolve))
  process.stdout.write(JSON.stringify({ datagrams, lost, seconds: took }))
} else {
  const { shared, sinkAddress, sinkPort } = workerData
  const seen = new Int32Array(shared)
  const fd = bound(sinkAddress, Number(sinkPort), datagram)
  setOption(fd, 1, 8, 4 << 20)
  const messages = batch(64, 2048)
  setReceiveLimit(fd, 100)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort.postMessage('ready')
  while (Atomics.load(seen, 1) === 0) {
    const got = c.recvmmsg(fd, messages.at, 64, 0x10000, 0)
    if (got <= 0) continue
    Atomics.add(seen, 0, got)
    Atomics.notify(seen, 0)
  }
}
