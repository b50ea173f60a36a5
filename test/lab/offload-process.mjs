// offload-process.mjs ENGINE RULE: one rule (JSON) on one engine in a process of its own, to be stopped and killed.
// Prints `ready`, and for each line on standard input what the rule has counted, as JSON; after `release` for the last
// time.
import { createInterface } from 'node:readline'
import { systemClock } from '../../dist/base/clock.js'
import { silentLog } from '../../dist/base/log.js'
import { createKernelEngine } from '../../dist/engines/kernel/index.js'
import { SpliceEngine } from '../../dist/engines/splice/main/engine.js'
import { createHost } from '../../dist/host/index.js'
import { parseRule } from '../../dist/model/rule-file.js'

const [engineId, rule] = process.argv.slice(2)
const tools = { host: createHost(), clock: systemClock, log: silentLog }
const engine = engineId === 'kernel' ? createKernelEngine(tools) : new SpliceEngine(tools, { threads: 1 })
const effect = { amend: () => Promise.resolve(), undone: () => Promise.resolve() }
const lease = await engine.open(
  {
    rule: parseRule('offloaded', JSON.parse(rule)),
    resolve: () => Promise.reject(new Error('there are no names here')),
    onEvent: () => {},
  },
  { signal: AbortSignal.timeout(20_000), record: { intend: () => Promise.resolve(effect) } },
)
// As whoever shows a rule does; the kernel engine looks at what is looked at.
setInterval(() => lease.counters(), 1000)
process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'release') await lease.release()
  process.stdout.write(`${JSON.stringify(lease.counters())}\n`)
  if (line === 'release') await engine.close()
}
process.exit()
