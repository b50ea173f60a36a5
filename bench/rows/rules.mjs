// A thousand rules through everything that a rule goes through: read, planned, journalled, opened; then one changed.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, root } from '../processes.mjs'

const count = 1000

export const title = `${count.toLocaleString('en')} rules by createForwarder: applied, and one of them changed`
export const metrics = {
  applyMs: { label: 'apply, ms', better: 'less' },
  changeMs: { label: 'change one, ms', better: 'less' },
}
export const targets = []

export function prepare() {
  const engines = ['splice', 'sockets']
  return Promise.resolve({
    peers: Object.fromEntries(engines.map((engine) => [engine, () => measure(engine)])),
  })
}

async function measure(engine) {
  const state = mkdtempSync(join(tmpdir(), 'naru-bench-'))
  try {
    const script = join(root, 'bench/load/thousand.mjs')
    return JSON.parse(await run([process.execPath, script, engine, String(count), state]))
  } finally {
    rmSync(state, { recursive: true, force: true })
  }
}
