// `npm start`: installs what is missing, builds what is stale, runs `naru up` in the foreground. Arguments go on to it.
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { installDependencies } from './install.mjs'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

installDependencies()
const { status } = spawnSync(process.execPath, [at('build.mjs')], { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)

const naru = spawn(process.execPath, [at('../dist/main.js'), 'up', ...process.argv.slice(2)], {
  stdio: 'inherit',
})
// Ctrl-C reaches the whole terminal group; what is sent to us alone is passed on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => naru.kill(signal))
naru.on('exit', (code, signal) => {
  process.exitCode = signal ? 1 : (code ?? 1)
})
