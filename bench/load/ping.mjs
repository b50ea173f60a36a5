// ping.mjs tcp|udp ADDRESS PORT SECONDS SIZE CLIENTS: each client has one message under way and sends the next when
// its echo is there. Prints { trips, lost, seconds }.
import { c, connected, datagram, memory, stream } from './libc.mjs'

const [protocol, address] = process.argv.slice(2)
const [port, seconds, size, clients] = process.argv.slice(4).map(Number)
const type = protocol === 'tcp' ? stream : datagram
const words = process.arch === 'x64' ? 3 : 4
const dataWord = process.arch === 'x64' ? 1 : 2
const epoll = c.epollCreate(0)
const { at } = memory(2048)
const event = memory(16)
const events = memory(256 * words * 4)
const sockets = Array.from({ length: clients }, () => connected(address, port, type))
const heard = new Map()
for (const fd of sockets) {
  event.view.setUint32(0, 1, true)
  event.view.setUint32(dataWord * 4, fd, true)
  c.epollControl(epoll, 1, fd, event.at)
}
let trips = 0
let lost = 0
const begin = performance.now()
const end = begin + seconds * 1000
for (const fd of sockets) {
  c.send(fd, at, size, 0)
  heard.set(fd, begin)
}
const dontWait = 0x40
let nextSweep = begin + 200
for (let now = begin; now < end; now = performance.now()) {
  const ready = c.epollWait(epoll, events.at, 256, 50)
  for (let index = 0; index < ready; index++) {
    const fd = events.view.getUint32(index * words * 4 + dataWord * 4, true)
    if (c.recv(fd, at, 2048, dontWait) <= 0) continue
    trips++
    heard.set(fd, now)
    c.send(fd, at, size, 0)
  }
  if (now < nextSweep) continue
  nextSweep = now + 200
  for (const [fd, last] of heard) {
    if (type === stream || now - last < 200) continue
    lost++
    heard.set(fd, now)
    c.send(fd, at, size, 0)
  }
}
process.stdout.write(JSON.stringify({ trips, lost, seconds: (performance.now() - begin) / 1000 }))
