// kernel-process.mjs RULES: the kernel engine in a process of its own, to be killed. RULES is JSON, rules by name.
// Prints `journal EFFECT` for each effect that a next start has to know of, then `ready`.
import { systemClock } from '../../dist/base/clock.js'
import { createKernelEngine } from '../../dist/engines/kernel/index.js'
import { createHost } from '../../dist/host/index.js'
import { parseRule } from '../../dist/model/rule-file.js'

const rules = JSON.parse(process.argv[2])
const engine = createKernelEngine({ host: createHost(), clock: systemClock })
const record = {
  intend: (effect) => {
    process.stdout.write(`journal ${JSON.stringify(effect)}\n`)
    return Promise.resolve({ amend: () => Promise.resolve(), undone: () => Promise.resolve() })
  },
}
const resolve = () => Promise.reject(new Error('there are no names here'))
for (const [name, rule] of Object.entries(rules)) {
  const request = { rule: parseRule(name, rule), resolve, onEvent: () => {} }
  await engine.open(request, { signal: AbortSignal.timeout(20_000), record })
}
process.stdout.write('ready\n')
setInterval(() => {}, 60_000)
