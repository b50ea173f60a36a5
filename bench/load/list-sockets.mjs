// list-sockets.mjs: reads this machine's sockets as `naru ports` does. Prints { first, ms }: the first time, when nothing
// is compiled yet, and the median of nine more.
import { createHost } from '../../dist/host/index.js'

const host = createHost()
const times = []
for (let index = 0; index < 10; index++) {
  const began = performance.now()
  await host.sockets.list({ signal: AbortSignal.timeout(20_000), all: true })
  times.push(performance.now() - began)
}
const [first, ...more] = times
process.stdout.write(JSON.stringify({ first, ms: more.sort((a, b) => a - b)[4] }))
