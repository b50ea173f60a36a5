// after-load.mjs RULES FOLDER: a Naru by itself. Asked by message: what it holds, once what nobody wants was collected.
import { readdirSync } from 'node:fs'
import { createForwarder } from '../../dist/index.js'

const [rules, stateFolder] = process.argv.slice(2)
const naru = await createForwarder({ rules: JSON.parse(rules), stateFolder })
process.on('message', async () => {
  const listed = await naru.rules.list()
  for (let times = 0; times < 3; times++) globalThis.gc()
  const { heapUsed, rss } = process.memoryUsage()
  process.send({
    open: listed.reduce((sum, { counters }) => sum + counters.open, 0),
    opened: listed.reduce((sum, { counters }) => sum + counters.opened, 0),
    descriptors: readdirSync('/proc/self/fd').length,
    heap: heapUsed,
    rss,
  })
})
process.on('disconnect', () => void naru[Symbol.asyncDispose]().finally(() => process.exit()))
process.send('ready')
