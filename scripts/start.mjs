// `npm start`: installs what is missing, builds what is stale, runs `naru up` in the foreground. Arguments go on to it.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { asked } from './language.mjs'
import { installDependencies } from './install.mjs'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

installDependencies()
const { status } = spawnSync(process.execPath, [at('build.mjs')], {
  stdio: 'inherit',
  env: asked ? { ...process.env, NARU_LANG: asked } : process.env,
})
if (status !== 0) process.exit(status ?? 1)

// npm runs us through a shell that ends on SIGTERM without telling us: when our parent is gone, so are we.
const parent = process.ppid
setInterval(() => process.ppid !== parent && process.kill(process.pid, 'SIGTERM'), 500).unref()

// In this process, so that a signal meant for Naru reaches it and its exit code is ours.
process.argv = [process.argv[0], at('../dist/main.js'), 'up', ...process.argv.slice(2)]
await import('../dist/main.js')
