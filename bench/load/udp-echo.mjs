// udp-echo.mjs PORT: answers datagrams, up to 64 with one call each way.
import { batch, bound, c, datagram, setOption } from './libc.mjs'

const fd = bound(process.argv[3] ?? '127.0.0.1', Number(process.argv[2]), datagram)
setOption(fd, 1, 8, 4 << 20)
process.stdout.write('ready\n')
const size = 2048
const messages = batch(64, size, { names: true })
const waitForOne = 0x10000
for (;;) {
  const got = c.recvmmsg(fd, messages.at, messages.count, waitForOne, 0)
  if (got <= 0) continue
  for (let index = 0; index < got; index++) messages.setLength(index, messages.lengthOf(index))
  c.sendmmsg(fd, messages.at, got, 0)
  for (let index = 0; index < got; index++) messages.setLength(index, size)
}
