// Who listens, with 5,000 sockets open: the reading alone, and whole commands from the shell.
import { join } from 'node:path'
import { root, run, start } from '../processes.mjs'

export const title = 'every socket with its process, 5,000 of them'
export const metrics = {
  ms: { label: 'ms', better: 'less' },
  first: { label: 'the first time, ms', better: 'less' },
}
export const targets = [
  { metric: 'ms', ours: 'reading', peer: null, atMost: 60 },
  { metric: 'ms', ours: 'reading', peer: 'netstat', atMost: 1 },
]

export async function prepare() {
  await start([process.execPath, join(root, 'bench/load/listen.mjs'), '5000'])
  const timed = (argv) => async () => {
    const began = performance.now()
    await run(argv)
    return { ms: performance.now() - began }
  }
  const naru = [process.execPath, join(root, 'dist/main.js')]
  return {
    peers: {
      reading: async () =>
        JSON.parse(await run([process.execPath, join(root, 'bench/load/list-sockets.mjs')])),
      'naru ports': timed([...naru, 'ports', '--all']),
      // What no command on Node can beat.
      'bare node': timed([process.execPath, '-e', '0']),
      netstat: timed(['netstat', '-anp']),
      ss: timed(['ss', '-anp']),
    },
  }
}
