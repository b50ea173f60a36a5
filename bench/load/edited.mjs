// edited.mjs ENGINE COUNT FOLDER: `naru up` with COUNT rules on loopback, then changes of one of them over the socket of
// the command line, half a second apart, so that what the daemon does by itself meets some. Prints, as JSON, how long the
// first took and the median of the others, and what CPU time the daemon took in 20 s before, as nobody asked anything.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { cpuSeconds, root, sleep } from '../processes.mjs'

const [engine, countText, folder] = process.argv.slice(2)
const firstPort = 10_000
const idleSeconds = 20
const changes = 15

/** Rules lead to the first; the changed one from one to the other and back. */
const services = await Promise.all([listening(), listening()])
const [first, second] = services.map((server) => `127.0.0.1:${server.address().port}`)
const rules = Array.from(
  { length: Number(countText) },
  (_, at) => `  r${at}: { listen: "127.0.0.1:${firstPort + at}", target: "${first}", engine: ${engine} }`,
)
const file = join(folder, 'naru.yaml')
writeFileSync(file, `rules:\n${rules.join('\n')}\n`)
const naru = spawn(
  process.execPath,
  [join(root, 'bin/naru.mjs'), 'up', '--config', file, '--api', 'off', '--json'],
  {
    env: { ...process.env, HOME: folder, NARU_STATE: folder },
    stdio: ['ignore', 'pipe', 'ignore'],
  },
)
// Whatever fails here, it does not stay behind.
process.on('exit', () => naru.kill('SIGKILL'))
const ended = once(naru, 'exit').then(() => {
  throw new Error('it ended')
})
ended.catch(() => {})
await Promise.race([once(naru.stdout, 'data'), ended])
naru.stdout.resume()
const socketPath = join(
  folder,
  readdirSync(folder, { recursive: true }).find((path) => /(^|\/)api$/.test(path)),
)

const before = cpuSeconds(naru.pid)
await sleep(idleSeconds * 1000)
const idleCpu = cpuSeconds(naru.pid) - before
const times = []
for (let at = 0; at <= changes; at++) {
  times.push(await change(at))
  await sleep(500)
}
naru.kill('SIGTERM')
await ended.catch(() => {})
for (const server of services) server.close()
const [firstMs, ...rest] = times
const changeMs = rest.sort((a, b) => a - b)[Math.floor(rest.length / 2)]
process.stdout.write(JSON.stringify({ firstMs, changeMs, idleCpu }))

async function change(at) {
  const began = performance.now()
  const asked = request({
    socketPath,
    method: 'PATCH',
    path: `/api/rules/r${Math.floor(rules.length / 2)}`,
    headers: { host: 'localhost', 'content-type': 'application/json' },
  })
  const toSecond = at % 2 === 0
  asked.end(JSON.stringify({ target: toSecond ? second : first }))
  const [answer] = await once(asked, 'response')
  const text = (await answer.toArray()).join('')
  const ms = performance.now() - began
  if (answer.statusCode !== 200) throw new Error(text)
  if (readFileSync(file, 'utf8').includes(second) !== toSecond)
    throw new Error('the file says something else')
  return ms
}

async function listening() {
  const server = createServer((socket) => socket.on('error', () => {}).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
