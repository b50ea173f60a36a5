// Builds, then measures what `npm run bench -- --help` says. Rows are the files of bench/rows/.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const help = `npm run bench [-- ROW… OPTIONS]

Measures this build beside other forwarders and prints medians with their spread. Keeps every figure in bench/results/
and draws docs/performance.svg and the table of docs/performance.md anew.

  ROW…          what to measure; everything where none is named
  --list        the rows that there are
  --runs N      interleaved runs over all peers (5)
  --seconds N   length of one measurement (2)
  --only A,B    these peers alone; prints, keeps nothing
  --no-save     prints, keeps nothing
  --here        in this machine's network; root otherwise measures in one of its own, without packet filters

npm run bench -- connect small --runs 9
npm run bench -- udp --only splice,nginx
`
try {
  await main()
  process.exit(0)
} catch (error) {
  process.stderr.write(`bench: ${error.message}\nnpm run bench -- --help says what there is\n`)
  process.exit(2)
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string' },
      'no-save': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      here: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return void process.stdout.write(help)
  const [runs, seconds] = [values.runs, values.seconds].map(Number)
  if (!(Number.isInteger(runs) && runs > 0)) throw new Error(`--runs ${values.runs}: not a number of runs`)
  if (!(seconds > 0)) throw new Error(`--seconds ${values.seconds}: not a length in seconds`)
  const { bench, rowsNamed } = await import('../bench/run.mjs')
  const rows = await rowsNamed(positionals)
  if (values.list) {
    for (const { name, title } of rows) process.stdout.write(`${name.padEnd(14)} ${title}\n`)
    return
  }
  const built = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (built.status !== 0) throw new Error('the build failed')
  const mayUnshare = process.platform === 'linux' && process.getuid() === 0
  if (!values.here && mayUnshare) {
    const argv = ['--net', process.execPath, 'scripts/bench.mjs', ...process.argv.slice(2), '--here']
    const env = { ...process.env, NARU_BENCH_NETWORK: 'own' }
    process.exit(spawnSync('unshare', argv, { cwd: root, stdio: 'inherit', env }).status ?? 1)
  }
  if (process.env.NARU_BENCH_NETWORK) {
    const { evenNetwork } = await import('../bench/processes.mjs')
    evenNetwork()
  }
  const only = values.only?.split(',') ?? null
  await bench(positionals, { runs, seconds, only, save: !values['no-save'] && !only })
}
