// `npm run bench [-- ROW… --runs 5 --seconds 2 --only splice,haproxy --no-save]`: builds, then measures. Rows are the
// files of bench/rows/; none named are all. Root measures in a network of its own, without the machine's packet
// filters; `--here` does not.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string' },
    'no-save': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    here: { type: 'boolean', default: false },
  },
})
const { bench, rowsNamed } = await import('../bench/run.mjs')
const { evenNetwork } = await import('../bench/processes.mjs')
const inOwnNetwork = { ...process.env, NARU_BENCH_NETWORK: 'own' }
if (values.list) {
  for (const { name, title } of await rowsNamed(positionals))
    process.stdout.write(`${name.padEnd(14)} ${title}\n`)
} else {
  const built = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (built.status !== 0) process.exit(1)
  const mayUnshare = process.platform === 'linux' && process.getuid() === 0
  if (!values.here && mayUnshare) {
    const argv = ['--net', process.execPath, 'scripts/bench.mjs', ...process.argv.slice(2), '--here']
    const { status } = spawnSync('unshare', argv, { cwd: root, stdio: 'inherit', env: inOwnNetwork })
    process.exit(status ?? 1)
  }
  if (process.env.NARU_BENCH_NETWORK) evenNetwork()
  const only = values.only?.split(',') ?? null
  await bench(positionals, {
    runs: Number(values.runs),
    seconds: Number(values.seconds),
    only,
    save: !values['no-save'],
  })
  process.exit(0)
}
