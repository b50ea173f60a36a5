// tcp-echo.mjs PORT: answers every connection with what it says, from one epoll loop.
import { bound, c, memory, setOption, stream } from './libc.mjs'

const words = process.arch === 'x64' ? 3 : 4
const dataWord = process.arch === 'x64' ? 1 : 2
const listener = bound('127.0.0.1', Number(process.argv[2]), stream)
c.listen(listener, 1024)
const epoll = c.epollCreate(0)
const event = memory(16)
const events = memory(256 * words * 4)
const { at, size } = memory(65_536)
watch(listener)
process.stdout.write('ready\n')
// Written out before the loop, which never lets Node's own go on.
await new Promise((resolve) => setTimeout(resolve, 20))
for (;;) {
  const ready = c.epollWait(epoll, events.at, 256, -1)
  for (let index = 0; index < ready; index++) {
    const fd = events.view.getUint32(index * words * 4 + dataWord * 4, true)
    if (fd === listener) {
      const client = c.accept(listener, 0, 0)
      if (client < 0) continue
      setOption(client, 6, 1, 1)
      watch(client)
      continue
    }
    const read = c.recv(fd, at, size, 0)
    if (read > 0) c.send(fd, at, read, 0x4000)
    else c.close(fd)
  }
}

function watch(fd) {
  event.view.setUint32(0, 1, true)
  event.view.setUint32(dataWord * 4, fd, true)
  c.epollControl(epoll, 1, fd, event.at)
}
