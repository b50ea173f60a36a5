// The few calls that the load generators make, through koffi: a blocking send or recv costs a tenth of a microsecond
// more than in C, so that the relay under test is what is measured, and not Node's event loop.
import { createRequire } from 'node:module'

const koffi = createRequire(import.meta.url)('koffi')
const library = koffi.load(null)

export const c = {
  mmap: library.func(
    'int64_t mmap(int64_t at, int64_t length, int protection, int flags, int fd, int64_t offset)',
  ),
  socket: library.func('int socket(int family, int type, int protocol)'),
  bind: library.func('int bind(int fd, int64_t address, int length)'),
  listen: library.func('int listen(int fd, int backlog)'),
  accept: library.func('int accept(int fd, int64_t address, int64_t length)'),
  connect: library.func('int connect(int fd, int64_t address, int length)'),
  close: library.func('int close(int fd)'),
  setsockopt: library.func('int setsockopt(int fd, int level, int option, int64_t value, int length)'),
  recv: library.func('int64_t recv(int fd, int64_t to, int64_t length, int flags)'),
  send: library.func('int64_t send(int fd, int64_t from, int64_t length, int flags)'),
  recvmmsg: library.func(
    'int recvmmsg(int fd, int64_t messages, unsigned int count, int flags, int64_t timeout)',
  ),
  sendmmsg: library.func('int sendmmsg(int fd, int64_t messages, unsigned int count, int flags)'),
  epollCreate: library.func('int epoll_create1(int flags)'),
  epollControl: library.func('int epoll_ctl(int epoll, int operation, int fd, int64_t event)'),
  epollWait: library.func('int epoll_wait(int epoll, int64_t events, int most, int timeout)'),
}

export const stream = 1
export const datagram = 2
export const errno = () => koffi.errno()

/** Memory that the kernel may write to, and its address. */
export function memory(size) {
  const at = c.mmap(0, size, 3, 0x22, -1, 0)
  const buffer = koffi.view(BigInt(at), size)
  return { at: Number(at), bytes: new Uint8Array(buffer), view: new DataView(buffer), size }
}

/** struct sockaddr_in (ip(7)). */
export function socketAddress(address, port) {
  const out = memory(16)
  out.view.setUint16(0, 2, true)
  out.view.setUint16(2, port)
  address.split('.').forEach((byte, index) => (out.bytes[4 + index] = Number(byte)))
  return out
}

/** A number as an option wants it: `setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)`. */
export function setOption(fd, level, option, value) {
  const number = memory(4)
  number.view.setInt32(0, value, true)
  return c.setsockopt(fd, level, option, number.at, 4)
}

/** recv gives up after so long, so that a thread can be told to end. */
export function setReceiveLimit(fd, ms) {
  const limit = memory(16)
  limit.view.setBigInt64(8, BigInt(ms * 1000), true)
  return c.setsockopt(fd, 1, 20, limit.at, 16)
}

export function connected(address, port, type) {
  const fd = c.socket(2, type, 0)
  if (type === stream) setOption(fd, 6, 1, 1)
  if (c.connect(fd, socketAddress(address, port).at, 16) !== 0) throw new Error(`connect: errno ${errno()}`)
  return fd
}

export function bound(address, port, type) {
  const fd = c.socket(2, type, 0)
  setOption(fd, 1, 2, 1)
  if (c.bind(fd, socketAddress(address, port).at, 16) !== 0) throw new Error(`bind: errno ${errno()}`)
  return fd
}

/** `count` datagrams at once for recvmmsg and sendmmsg: struct mmsghdr is 64 bytes on 64-bit Linux. */
export function batch(count, size, { names = false } = {}) {
  const headers = memory(count * 64)
  const vectors = memory(count * 16)
  const data = memory(count * size)
  const addresses = memory(count * 16)
  const set = (view, offset, value) => view.setBigUint64(offset, BigInt(value), true)
  for (let index = 0; index < count; index++) {
    set(vectors.view, index * 16, data.at + index * size)
    set(vectors.view, index * 16 + 8, size)
    if (names) {
      set(headers.view, index * 64, addresses.at + index * 16)
      headers.view.setUint32(index * 64 + 8, 16, true)
    }
    set(headers.view, index * 64 + 16, vectors.at + index * 16)
    set(headers.view, index * 64 + 24, 1)
  }
  return {
    at: headers.at,
    count,
    lengthOf: (index) => headers.view.getUint32(index * 64 + 56, true),
    setLength: (index, length) => set(vectors.view, index * 16 + 8, length),
  }
}
