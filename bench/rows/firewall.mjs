// Rules published through a host firewall that drops by default: `naru up` until all are open, and a stop until nothing
// is left. Each size has a namespace of its own, which `unshare` makes and the kernel takes away.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, run } from '../processes.mjs'

export { missingForNetworks as missing } from '../processes.mjs'

const sizes = [1, 100, 1000, 10_000]

export const title = 'rules published through nftables that drops by default'
export const metrics = {
  upMs: { label: 'up, ms', better: 'less' },
  upCpu: { label: 'up, CPU s', better: 'less' },
  stopMs: { label: 'stop, ms', better: 'less' },
}
export const targets = [
  { metric: 'upMs', ours: '10,000 rules', peer: null, atMost: 5000 },
  { metric: 'stopMs', ours: '10,000 rules', peer: null, atMost: 4500 },
]

export function prepare() {
  const measured = (count) => [`${count.toLocaleString('en')} rules`, () => measure(count)]
  return Promise.resolve({ peers: Object.fromEntries(sizes.map(measured)) })
}

async function measure(count) {
  const folder = mkdtempSync(join(tmpdir(), 'naru-bench-'))
  try {
    const script = join(root, 'bench/load/published.mjs')
    const argv = ['unshare', '-n', process.execPath, script, String(count), folder]
    return JSON.parse(await run(argv, { seconds: 300 }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
