// Reads this network three times, again after each line, and prints what it saw and how many programs were started for it.
import childProcess from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'
import { createInterface } from 'node:readline'

let started = 0
const { spawn } = childProcess
childProcess.spawn = (...args) => {
  started++
  return spawn(...args)
}
syncBuiltinESMExports()

const { createHost } = await import('../../dist/host/index.js')
const { network } = createHost()
const signal = AbortSignal.timeout(60_000)

async function look() {
  started = 0
  let seen
  for (let times = 0; times < 3; times++) {
    const [interfaces, routes] = await Promise.all([
      network.interfaces({ signal }),
      network.defaultRoutes({ signal }),
    ])
    const addresses = interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address))
    seen = { addresses, up: interfaces.filter(({ up }) => up).map(({ name }) => name), routes }
  }
  process.stdout.write(`${JSON.stringify({ ...seen, started })}\n`)
}

await look()
for await (const _line of createInterface({ input: process.stdin })) await look()
