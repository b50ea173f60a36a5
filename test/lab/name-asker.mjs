// name-asker.mjs: asks for names as a running Naru does, wherever it was started. Reads a name a line; answers lines
// {name, addresses, ttlMs} or {name, why}.
import { createInterface } from 'node:readline'
import { NameResolver } from '../../dist/relay/resolve.js'

const resolver = new NameResolver()
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)
for await (const name of createInterface({ input: process.stdin }))
  void resolver.resolve(name).then(
    ({ addresses, ttlMs }) => say({ name, addresses, ttlMs }),
    (error) => say({ name, why: error.message }),
  )
