// thousand.mjs ENGINE COUNT STATE: a forwarder with COUNT rules on loopback. Prints { applyMs, changeMs }.
import { createForwarder } from '../../dist/index.js'

const [engine, count, stateFolder] = process.argv.slice(2)
const firstPort = 12_000
const rule = (index, target) => ({
  listen: `127.0.0.1:${firstPort + index}`,
  target: `127.0.0.1:${target}`,
  engine,
})
const rules = Object.fromEntries(
  Array.from({ length: Number(count) }, (_, index) => [`rule-${index}`, rule(index, 9)]),
)
const began = performance.now()
const naru = await createForwarder({ rules, stateFolder })
const applyMs = performance.now() - began
const times = []
for (let index = 0; index < 7; index++) {
  const from = performance.now()
  await naru.rules.edit('rule-500', { target: `127.0.0.1:${10 + index}` })
  times.push(performance.now() - from)
}
const changeMs = times.sort((a, b) => a - b)[3]
await naru.stop()
process.stdout.write(JSON.stringify({ applyMs, changeMs }))
