// offer.mjs ADDRESS PORT PER_SECOND SECONDS [REQUEST]: an open loop. So many new connections begin every second by the
// clock, whether those before them were answered or not, until SECONDS have passed or standard input ends. Each sends
// REQUEST and wants an answer and then the end of the stream. Those that were begun get 60 s for it. Prints a line a
// second to standard error, and at the end { offered, answered, refused, reset, timedOut, unanswered, others, notOffered,
// seconds, offeredForMs, p50, p99, most, each }. Times are ms from when a connection was due, not from when the machine came to it.
import { writeSync } from 'node:fs'
import { c, errno, memory, socketAddress, stream } from './libc.mjs'

const [address, port, perSecond, seconds, request = 'x'] = process.argv.slice(2)
const everyMs = 1000 / Number(perSecond)
const total = Math.floor(Number(perSecond) * Number(seconds))
const patienceMs = 60_000
/** Begun in one turn before answers are looked at. */
const atOnce = 64
const nonBlocking = 0x800
const noSignal = 0x4000
const epollOnce = 0x8000_0000
const [eIn, eOut, eReadEnd] = [1, 4, 0x2000]
const codes = { 104: 'reset', 32: 'reset', 111: 'refused', 110: 'timedOut' }
const [again, inProgress, tooMany] = [11, 115, 24]
const idle = 0
const asking = 1
const heard = 2

const words = process.arch === 'x64' ? 3 : 4
const dataWord = process.arch === 'x64' ? 1 : 2
const epoll = c.epollCreate(0)
const event = memory(16)
const events = memory(512 * words * 4)
const into = memory(4096)
const said = memory(4096)
const saidLength = Buffer.from(said.bytes.buffer).write(request.replaceAll('\\r\\n', '\r\n'))
const to = socketAddress(address, Number(port))

const mostDescriptors = 1 << 20
const states = new Uint8Array(mostDescriptors)
const dueOf = new Float64Array(mostDescriptors)
const counts = { answered: 0, refused: 0, reset: 0, timedOut: 0, unanswered: 0, notOffered: 0 }
const others = {}
const times = new Float64Array(total)
const each = []

watch(0, eIn)
process.stdout.write('ready\n')
// Written out before the loop, which never lets Node's own go on.
await new Promise((resolve) => setTimeout(resolve, 20))
let begun = 0
let due = 0
let open = 0
let stopped = false
const begin = performance.now()
let now = begin
let endsBy = Infinity
let offeredForMs = 0
let nextLine = begin + 1000
for (;;) {
  now = performance.now()
  if (!stopped) {
    due = Math.min(total, Math.floor((now - begin) / everyMs))
    for (let some = 0; begun < due && some < atOnce; some++) offer(begin + begun++ * everyMs)
  }
  if (endsBy === Infinity && (stopped || begun === total)) {
    offeredForMs = Math.round(now - begin)
    endsBy = now + patienceMs
  }
  if (endsBy !== Infinity && (open === 0 || now > endsBy)) break
  const ready = c.epollWait(epoll, events.at, 512, begun < due && !stopped ? 0 : 1)
  now = performance.now()
  for (let index = 0; index < ready; index++) {
    const fd = events.view.getUint32(index * words * 4 + dataWord * 4, true)
    if (fd === 0) {
      stopped = true
      c.epollControl(epoll, 2, 0, event.at)
    } else serve(fd)
  }
  if (now >= nextLine) tell()
}
counts.timedOut += open
const sorted = times.subarray(0, counts.answered).sort()
const at = (share) =>
  Math.round((sorted[Math.min(counts.answered - 1, Math.floor(counts.answered * share))] ?? 0) * 10) / 10
const result = { offered: begun, ...counts, others, seconds: (now - begin) / 1000, offeredForMs }
writeSync(1, `${JSON.stringify({ ...result, p50: at(0.5), p99: at(0.99), most: at(1), each })}\n`)
process.exit(0)

function offer(dueAt) {
  const fd = c.socket(2, stream | nonBlocking, 0)
  if (fd < 0) return missed()
  if (c.connect(fd, to.at, 16) !== 0 && errno() !== inProgress) {
    const code = errno()
    c.close(fd)
    // No port of this machine is free for it: that is the load's fault.
    return code in codes ? void counts[codes[code]]++ : missed(code)
  }
  open++
  states[fd] = idle
  dueOf[fd] = dueAt
  // By loopback it is connected by now, most often.
  if (!ask(fd)) return
  watch(fd, (epollOnce | eIn | eOut | eReadEnd) >>> 0)
}

function missed(code = tooMany) {
  counts.notOffered++
  others[`not offered: errno ${code}`] = (others[`not offered: errno ${code}`] ?? 0) + 1
}

/** @returns whether it goes on */
function ask(fd) {
  if (c.send(fd, said.at, saidLength, noSignal) === saidLength) states[fd] = asking
  else if (errno() !== again) return end(fd, errno())
  return true
}

function serve(fd) {
  if (states[fd] === idle && !ask(fd)) return
  for (;;) {
    const read = c.recv(fd, into.at, into.size, 0)
    if (read > 0) states[fd] = heard
    else if (read === 0) return end(fd, 0)
    else return errno() === again || end(fd, errno())
  }
}

function end(fd, code) {
  c.close(fd)
  open--
  if (code === 0 && states[fd] === heard) times[counts.answered++] = now - dueOf[fd]
  else if (code === 0) counts.unanswered++
  else if (code in codes) counts[codes[code]]++
  else others[`errno ${code}`] = (others[`errno ${code}`] ?? 0) + 1
  return false
}

function watch(fd, mask) {
  event.view.setUint32(0, mask, true)
  event.view.setUint32(dataWord * 4, fd, true)
  c.epollControl(epoll, 1, fd, event.at)
}

/** What happened so far. */
function tell() {
  nextLine += 1000
  const line = { at: Math.round((now - begin) / 1000), begun, answered: counts.answered, open }
  each.push(line)
  const { refused, reset, unanswered, notOffered } = counts
  writeSync(2, `${JSON.stringify({ ...line, late: due - begun, refused, reset, unanswered, notOffered })}\n`)
}
