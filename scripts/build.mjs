// Builds `dist/` with tsc and Rolldown and the web page with Vite, each only where a source is newer than what was built.
// `--force` builds both. Prints one line a part.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { say } from './language.mjs'

const root = new URL('..', import.meta.url).pathname.replace(/^\/([A-Z]:)/i, '$1')
const force = process.argv.includes('--force')

function newest(path) {
  if (!existsSync(path)) return 0
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  // A folder's own time counts too: it moves when a file is deleted.
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), stat.mtimeMs)
}

function build(name, { sources, output, make }) {
  const stamp = join(root, output, '.built')
  const from = Math.max(...sources.map((source) => newest(join(root, source))))
  if (!force && existsSync(stamp) && statSync(stamp).mtimeMs >= from) return
  const started = performance.now()
  make()
  writeFileSync(stamp, '')
  utimesSync(stamp, new Date(), new Date(Math.max(from, Date.now())))
  const ms = Math.round(performance.now() - started)
  console.error(say(`built ${name} in ${ms} ms`, `${name} 빌드 완료 (${ms}ms)`))
}

function run(script, args, cwd = root) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd,
    // Whoever builds: a test runner says `test`, and React would come in its large, slow form for developers.
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) process.exit(status ?? 1)
}

build('naru', {
  sources: [
    'src',
    'package.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'scripts/bundle.mjs',
    'packaging/licences.mjs',
  ],
  output: 'dist',
  make() {
    rmSync(join(root, 'dist'), { recursive: true, force: true })
    run('node_modules/typescript/bin/tsc', ['-p', 'tsconfig.build.json'])
    run('scripts/generate.mjs', ['schema'])
    run('scripts/bundle.mjs', [])
  },
})
if (existsSync(join(root, 'web/index.html'))) {
  build('web', {
    sources: [
      'web/src',
      'web/public',
      'web/index.html',
      'web/vite.config.ts',
      'src/api/client',
      'src/api/protocol',
      'src/model',
      'src/base',
      'locales',
    ],
    output: 'web/dist',
    make: () => run('node_modules/vite/bin/vite.js', ['build', '--logLevel', 'warn'], join(root, 'web')),
  })
}
