// published.mjs COUNT FOLDER: within a network namespace of its own, `naru up` with COUNT rules behind a chain that
// drops, then a stop. Says how long each took and what CPU time, also of the programs that it started, as JSON.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { root } from '../processes.mjs'

const [countText, folder] = process.argv.slice(2)
const count = Number(countText)
const firstPort = 10_000
const nft = 'nft'
const dropping = `table inet filter { chain input {
  type filter hook input priority filter; policy drop;
  ct state established,related accept
  iifname "lo" accept
}; }
`

for (const words of [
  ['link', 'set', 'lo', 'up'],
  ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1'],
  ['address', 'add', '10.9.0.1/24', 'dev', 'eth0'],
  ['link', 'set', 'eth1', 'up'],
  ['link', 'set', 'eth0', 'up'],
])
  execFileSync('ip', words)
execFileSync(nft, ['-f', '-'], { input: dropping })

const service = createServer((socket) => socket.on('error', () => {}).end())
service.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(service, 'listening')
const target = `127.0.0.1:${service.address().port}`
const rules = Array.from(
  { length: count },
  (_, at) =>
    `  r${at}: { listen: ${firstPort + at}, target: "${target}", engine: sockets, publish: { firewall: auto } }`,
)
const file = join(folder, 'naru.yaml')
writeFileSync(file, `rules:\n${rules.join('\n')}\n`)

const began = performance.now()
const argv = [join(root, 'bin/naru.mjs'), 'up', '--config', file, '--api', 'off']
const naru = spawn(process.execPath, argv, {
  env: { ...process.env, HOME: folder, XDG_STATE_HOME: folder },
  stdio: ['ignore', 'pipe', 'pipe'],
})
const ended = once(naru, 'exit')
// Whatever fails here, it does not stay behind.
process.on('exit', () => naru.kill('SIGKILL'))
let said = ''
for (const output of [naru.stdout, naru.stderr]) output.on('data', (chunk) => (said += chunk))
while (!said.includes('Ctrl-C')) {
  if (naru.exitCode !== null) throw new Error(said.slice(-400))
  await new Promise((resolve) => setTimeout(resolve, 5))
}
const upMs = performance.now() - began
const upCpu = cpuSeconds()
mustBe(count)
const stopBegan = performance.now()
naru.kill('SIGTERM')
const [exit] = await ended
const stopMs = performance.now() - stopBegan
mustBe(0)
if (exit !== 0) throw new Error(`it ended with ${exit}: ${said.slice(-400)}`)
service.close()
process.stdout.write(JSON.stringify({ upMs, upCpu, stopMs }))

/** User and system time, also of children that ended; `/proc/PID/stat` has it in hundredths. */
function cpuSeconds() {
  const stat = readFileSync(`/proc/${naru.pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, text) => sum + Number(text), 0) / 100
}

function mustBe(openings) {
  const there = execFileSync(nft, ['list', 'chain', 'inet', 'filter', 'input'], { maxBuffer: 64 << 20 })
  const found = String(there).split('"naru:').length - 1
  if (found !== openings) throw new Error(`${found} openings, not ${openings}: ${said.slice(-400)}`)
}
