// `npm run fuzz -- [--seconds N] [--seed N] [NAME]`: harmed inputs for every parser, or for the one of that name.
// Prints the seed, with which the same inputs come again.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '30' }, seed: { type: 'string' } },
  allowPositionals: true,
})
const seed = values.seed ?? String(Date.now() % 1_000_000_000)
console.log(`seed ${seed}, ${values.seconds} s for each parser`)
const env = {
  ...process.env,
  NARU_FUZZ_SEED: seed,
  NARU_FUZZ_SECONDS: values.seconds,
  NARU_FUZZ_ONLY: positionals.join(' '),
}
const root = fileURLToPath(new URL('..', import.meta.url))
const argv = ['node_modules/vitest/vitest.mjs', 'run', 'test/fuzz']
process.exitCode = spawnSync(process.execPath, argv, { cwd: root, env, stdio: 'inherit' }).status ?? 1
