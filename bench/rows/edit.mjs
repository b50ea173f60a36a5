// One of 10,000 rules of a file changed in a daemon that runs, over its own socket, as `naru edit` asks for it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, run } from '../processes.mjs'

const count = 10_000

export const title = `one of ${count.toLocaleString('en')} rules of a file changed in a running daemon`
export const metrics = {
  firstMs: { label: 'first change, ms', better: 'less' },
  changeMs: { label: 'change one, ms', better: 'less' },
  idleCpu: { label: 'CPU s of 20 s that nobody asks', better: 'less' },
}
export const targets = ['splice', 'sockets'].map((ours) => ({
  metric: 'changeMs',
  ours,
  peer: null,
  atMost: 100,
}))

export function prepare() {
  const engines = ['splice', 'sockets']
  return Promise.resolve({
    peers: Object.fromEntries(engines.map((engine) => [engine, () => measure(engine)])),
  })
}

async function measure(engine) {
  const folder = mkdtempSync(join(tmpdir(), 'naru-bench-'))
  try {
    const script = join(root, 'bench/load/edited.mjs')
    const argv = [process.execPath, script, engine, String(count), folder]
    return JSON.parse(await run(argv, { seconds: 300 }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
