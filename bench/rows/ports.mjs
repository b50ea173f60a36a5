// One rule of nine thousand ports: how long until it listens, and what it costs in memory.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { privateBytes, root, start, stop } from '../processes.mjs'

export const title = 'one rule of 9,000 ports'
export const metrics = {
  ms: { label: 'until it listens, ms', better: 'less' },
  mib: { label: 'MiB more', better: 'less' },
}
export const targets = ['splice', 'sockets', 'kernel'].flatMap((ours) => [
  { metric: 'ms', ours, peer: null, atMost: 1000 },
  { metric: 'mib', ours, peer: null, atMost: 50 },
])

export async function prepare() {
  const engines = ['splice', 'sockets']
  if (process.getuid?.() === 0) engines.push('kernel')
  return { peers: Object.fromEntries(engines.map((engine) => [engine, () => measure(engine)])) }
}

/** The same process with one port is what is taken off. */
async function measure(engine) {
  const one = await opened(engine, '10000', '20000')
  const all = await opened(engine, '10000-18999', '20000-28999')
  return { ms: all.ms, mib: (all.bytes - one.bytes) / 2 ** 20 }
}

async function opened(engine, ports, targetPorts) {
  const kernel = engine === 'kernel'
  // The kernel engine changes a network of its own and not this machine's.
  const name = `nb${process.pid}-ports`
  if (kernel) makeNetwork(name)
  try {
    const address = kernel ? '10.3.0.1' : '127.0.0.1'
    const argv = [
      process.execPath,
      join(root, 'bench/peers/naru.mjs'),
      engine,
      `${address}:${ports}`,
      `${kernel ? '10.3.0.2' : '127.0.0.1'}:${targetPorts}`,
    ]
    const started = await start(kernel ? ['ip', 'netns', 'exec', name, ...argv] : argv)
    const ms = Number(/ready ([\d.]+)/.exec(started.output())[1])
    const bytes = privateBytes(started.pid)
    await stop(started)
    return { ms, bytes }
  } finally {
    if (kernel) execFileSync('ip', ['netns', 'delete', name])
  }
}

function makeNetwork(name) {
  const ip = (...args) => execFileSync('ip', args)
  ip('netns', 'add', name)
  ip('-n', name, 'link', 'set', 'lo', 'up')
  ip('-n', name, 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'end')
  ip('-n', name, 'address', 'add', '10.3.0.1/24', 'dev', 'lan')
  ip('-n', name, 'link', 'set', 'lan', 'up')
}
