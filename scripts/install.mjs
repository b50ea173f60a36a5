// Installs the pinned dependencies where they are missing or older than the lockfile. Silent and without network
// where there is nothing to do. Shared by `npm start` and `npm test`.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

export function installDependencies() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`naru needs Node.js 20.19 or newer; this is ${process.versions.node}`)
    process.exit(1)
  }
  const installed = at('node_modules/.package-lock.json')
  if (
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(at('package-lock.json')).mtimeMs - 1000
  )
    return
  console.error('installing the pinned dependencies …')
  // `npm install` and not `npm ci`: a registry that lacks binaries of other platforms is no reason to stop.
  run(['install', '--no-audit', '--no-fund', '--no-save', '--loglevel=error'])
}

function run(args) {
  const npm = process.env.npm_execpath
  const [command, first] = npm ? [process.execPath, [npm]] : ['npm', []]
  const { status } = spawnSync(command, [...first, ...args], {
    cwd: at('.'),
    stdio: ['ignore', 2, 2],
    shell: !npm && process.platform === 'win32',
  })
  if (status !== 0) process.exit(status ?? 1)
}
