// rtt.mjs ADDRESS PORT SECONDS SIZE: one message there, its echo back, again and again over one connection.
// Prints { count, p50, p99 } in microseconds.
import { c, connected, memory, stream } from './libc.mjs'

const [address, port, seconds, size] = [process.argv[2], ...process.argv.slice(3).map(Number)]
const fd = connected(address, port, stream)
const { at } = memory(size)
const times = new Float64Array(4_000_000)
const end = performance.now() + seconds * 1000
let count = 0
for (let now = performance.now(); now < end && count < times.length;) {
  c.send(fd, at, size, 0)
  for (let got = 0; got < size;) {
    const read = c.recv(fd, at, size - got, 0)
    if (read <= 0) throw new Error('the connection ended')
    got += read
  }
  const then = performance.now()
  times[count++] = (then - now) * 1000
  now = then
}
const sorted = times.subarray(0, count).sort()
const at99 = (share) => Math.round(sorted[Math.floor(count * share)] * 100) / 100
process.stdout.write(JSON.stringify({ count, p50: at99(0.5), p99: at99(0.99) }))
