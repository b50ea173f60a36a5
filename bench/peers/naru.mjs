// naru.mjs ENGINE LISTEN TARGET [COUNT]: rules on one engine, without CLI, journal or UI. COUNT rules take the ports
// from LISTEN's on, and the last of them is the one that is measured: it has LISTEN's protocols, the others are TCP.
// Says `ready MS`. A number on standard input changes the last rule so often, there and back, and says `changed [MS…]`.
import { systemClock } from '../../dist/base/clock.js'
import { silentLog } from '../../dist/base/log.js'
import { createHost } from '../../dist/host/index.js'
import { parseListen } from '../../dist/model/listen.js'
import { parseRule } from '../../dist/model/rule-file.js'
import { parseTarget } from '../../dist/model/target.js'

const [engineId, listen, target, countText = '1'] = process.argv.slice(2)
const last = Number(countText) - 1
const { address, ports, protocols } = parseListen(listen)
const { host, ports: targetPorts } = parseTarget(target)
const tools = { host: createHost(), clock: systemClock, log: silentLog }
const engine = await makeEngine()
const signal = new AbortController().signal
const undoable = { amend: () => Promise.resolve(), undone: () => Promise.resolve() }
const record = { intend: () => Promise.resolve(undoable) }

const began = performance.now()
const leases = await Promise.all(
  Array.from({ length: last + 1 }, (_, index) => {
    const resolve = () => Promise.reject(new Error('there are no names here'))
    return engine.open({ rule: ruleAt(index, 0), resolve, onEvent: () => {} }, { signal, record })
  }),
)
process.stdout.write(`ready ${performance.now() - began}\n`)
// Somebody looks once a second, as the daemon does.
setInterval(() => leases[last].counters(), 1000)
process.stdin.on('data', (line) => void change(Number(String(line))))
process.on('SIGTERM', () => void engine.close().then(() => process.exit(0)))

async function change(times) {
  const took = []
  for (let index = 0; index < times; index++) {
    const edited = ruleAt(last, (index + 1) % 2)
    const from = performance.now()
    leases[last].update(edited)
    await leases[last].settled?.()
    took.push(performance.now() - from)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  process.stdout.write(`changed ${JSON.stringify(took)}\n`)
}

function ruleAt(index, away) {
  const span = ports.last - ports.first
  const range = (first) => (span === 0 ? `${first}` : `${first}-${first + span}`)
  return parseRule(`bench-${index}`, {
    listen: `${address}:${range(ports.first + index)}/${index === last ? protocols.join('+') : 'tcp'}`,
    target: `${host}:${range(targetPorts.first + away)}`,
  })
}

async function makeEngine() {
  switch (engineId) {
    case 'splice': {
      const { SpliceEngine } = await import('../../dist/engines/splice/main/engine.js')
      return new SpliceEngine(tools, { threads: 1 })
    }
    case 'kernel':
      return (await import('../../dist/engines/kernel/index.js')).createKernelEngine(tools)
    default:
      return (await import('../../dist/engines/sockets/engine.js')).makeSocketsEngine(tools)
  }
}
