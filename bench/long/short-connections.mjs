// node bench/long/short-connections.mjs [COUNT [ENGINE]]: so many short connections (1,000,000) through one relay, and
// what it has of memory and descriptors after each twentieth. It fails where either still grows in the second half.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPeer, startWeb, wrk } from '../peers.mjs'
import { descriptors, evenNetwork, privateBytes, root, sleep, stopAll } from '../processes.mjs'

const [countText = '1000000', engine = 'splice'] = process.argv.slice(2)
const count = Number(countText)
/** More than this in the second half is growth: a collector's heap breathes by a few MiB. */
const mostMoreMiB = 8

if (process.getuid?.() === 0 && !process.env.NARU_BENCH_NETWORK) {
  const argv = ['--net', process.execPath, ...process.argv.slice(1)]
  const env = { ...process.env, NARU_BENCH_NETWORK: 'own' }
  process.exit(spawnSync('unshare', argv, { stdio: 'inherit', env }).status ?? 1)
}
if (process.env.NARU_BENCH_NETWORK) evenNetwork()

const web = await startWeb()
const peer = await startPeer(engine, web.port)
const samples = [await sample(0)]
for (let done = 0; done < count;) {
  for (const end = Math.min(count, done + count / 20); done < end;)
    done += (await wrk(peer.port, { seconds: 3, connections: 32, close: true })).requests
  await sleep(1500)
  samples.push(await sample(done))
  const { connections, mib, fds } = samples.at(-1)
  process.stdout.write(`${connections} connections: ${mib.toFixed(1)} MiB, ${fds} descriptors\n`)
}
const half = samples[samples.length >> 1]
const last = samples.at(-1)
const grew = { mib: last.mib - half.mib, fds: last.fds - half.fds }
const kept = grew.mib <= mostMoreMiB && grew.fds <= 0
mkdirSync(join(root, 'bench/results/long'), { recursive: true })
writeFileSync(
  join(root, `bench/results/long/short-connections-${engine}.json`),
  `${JSON.stringify({ at: new Date().toISOString(), engine, samples, grew, kept }, null, 1)}\n`,
)
process.stdout.write(
  `second half: ${grew.mib.toFixed(1)} MiB and ${grew.fds} descriptors more: ${kept ? 'no growth' : 'GROWTH'}\n`,
)
await peer.stop()
await stopAll()
process.exit(kept ? 0 : 1)

async function sample(connections) {
  return { connections, mib: privateBytes(peer.pid) / 2 ** 20, fds: descriptors(peer.pid) }
}
