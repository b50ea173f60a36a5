// `npm run bench [-- ROW… --runs 5 --seconds 2 --only splice,haproxy --no-save]`: builds, then measures. Rows are the
// files of bench/rows/; none named are all.
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
  },
})
const { bench, rowsNamed } = await import('../bench/run.mjs')
if (values.list) {
  for (const { name, title } of await rowsNamed(positionals))
    process.stdout.write(`${name.padEnd(14)} ${title}\n`)
} else {
  const built = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (built.status !== 0) process.exit(1)
  const only = values.only?.split(',') ?? null
  await bench(positionals, {
    runs: Number(values.runs),
    seconds: Number(values.seconds),
    only,
    save: !values['no-save'],
  })
  process.exit(0)
}
