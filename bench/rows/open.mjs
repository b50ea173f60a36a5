// `naru open` from the shell: from the start of the process until the first byte has come back through it.
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLoad } from '../peers.mjs'
import { freePort, root, start, stop } from '../processes.mjs'

export const title = '`naru open`, from its start to the first forwarded byte'
export const metrics = { ms: { label: 'ms', better: 'less' } }
export const targets = ['sockets', 'auto'].map((ours) => ({ metric: 'ms', ours, peer: null, atMost: 250 }))

export async function prepare() {
  const target = await startLoad('greet.mjs')
  return {
    peers: Object.fromEntries(
      ['sockets', 'auto', 'bare node'].map((name) => [name, () => measure(name, target.port)]),
    ),
  }
}

async function measure(name, target) {
  const port = await freePort()
  const state = mkdtempSync(join(tmpdir(), 'naru-bench-'))
  const began = performance.now()
  const env = { ...process.env, NARU_STATE: state }
  // A list of certificates that every Node process reads when it starts (35 to 70 ms) is this machine's, not Naru's.
  delete env.NODE_EXTRA_CA_CERTS
  const naru = [
    join(root, 'dist/main.js'),
    'open',
    `127.0.0.1:${port}`,
    `127.0.0.1:${target}`,
    '--engine',
    name,
  ]
  // What Node alone takes to run ten lines is what no CLI on it can beat.
  const argv =
    name === 'bare node' ? [join(root, 'bench/peers/node-pipe.mjs'), String(port), String(target)] : naru
  const started = await start([process.execPath, ...argv], { ready: null, env })
  try {
    await firstByte(port, began)
    return { ms: performance.now() - began }
  } finally {
    await stop(started)
    rmSync(state, { recursive: true, force: true })
  }
}

async function firstByte(port, began) {
  while (performance.now() - began < 20_000) {
    if (await answers(port)) return
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  throw new Error('nothing was forwarded')
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('data', () => (resolve(true), socket.destroy()))
    socket.once('error', () => resolve(false))
  })
}
