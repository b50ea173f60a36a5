// naru.mjs ENGINE LISTEN TARGET: one rule on one engine, without CLI, journal or UI. Says `ready`.
import { systemClock } from '../../dist/base/clock.js'
import { silentLog } from '../../dist/base/log.js'
import { createHost } from '../../dist/host/index.js'
import { parseRule } from '../../dist/model/rule-file.js'

const [engineId, listen, target, count = '1'] = process.argv.slice(2)
const tools = { host: createHost(), clock: systemClock, log: silentLog }
const engine = await makeEngine()
const record = {
  intend: () => Promise.resolve({ amend: () => Promise.resolve(), undone: () => Promise.resolve() }),
}
const signal = new AbortController().signal
const request = (rule) => ({
  rule,
  resolve: () => Promise.reject(new Error('no names here')),
  onEvent: () => {},
})
const [where, ports] = [
  listen.slice(0, listen.lastIndexOf(':') + 1),
  listen.slice(listen.lastIndexOf(':') + 1),
]
const began = performance.now()
const rules = Array.from({ length: Number(count) }, (_, index) =>
  parseRule(`bench-${index}`, {
    listen:
      index === 0
        ? listen
        : `${where}${Number(ports.split('/')[0]) + index}${ports.endsWith('/udp') ? '/udp' : ''}`,
    target,
  }),
)
const leases = await Promise.all(rules.map((rule) => engine.open(request(rule), { signal, record })))
const openMs = performance.now() - began
process.stdout.write(`ready ${openMs}\n`)
process.stdin.on('data', async (line) => {
  // One question: change the last rule so many times.
  const times = []
  const last = leases.length - 1
  for (let index = 0; index < Number(String(line)); index++) {
    const edited = parseRule(`bench-${last}`, { listen: rawListen(last), target: retarget(index) })
    const from = performance.now()
    leases[last].update(edited)
    if (leases[last].settled) await leases[last].settled()
    times.push(performance.now() - from)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  process.stdout.write(`changed ${JSON.stringify(times)}\n`)
})
process.on('SIGTERM', () => void engine.close().then(() => process.exit(0)))

function rawListen(index) {
  return index === 0 ? listen : `${where}${Number(ports.split('/')[0]) + index}`
}

function retarget(index) {
  const at = target.lastIndexOf(':')
  return `${target.slice(0, at)}:${Number(target.slice(at + 1)) + ((index + 1) % 2)}`
}

async function makeEngine() {
  switch (engineId) {
    case 'splice': {
      const { SpliceEngine } = await import('../../dist/engines/splice/engine.js')
      return new SpliceEngine(tools, { threads: 1 })
    }
    case 'kernel':
      return (await import('../../dist/engines/kernel/index.js')).makeKernelEngine(tools)
    default:
      return (await import('../../dist/engines/sockets.js')).makeSocketsEngine(tools)
  }
}
