// Installs the pinned dependencies where they are missing or older than the lockfile. Silent and without network
// where there is nothing to do. Shared by `npm start` and `npm test`.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { say } from './language.mjs'

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

export function installDependencies() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(
      say(
        `naru needs Node.js 20.19 or newer; this is ${process.versions.node}`,
        `naru에는 Node.js 20.19 이상이 필요합니다. 현재 버전은 ${process.versions.node}입니다`,
      ),
    )
    process.exit(1)
  }
  const installed = at('node_modules/.package-lock.json')
  if (
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(at('package-lock.json')).mtimeMs - 1000
  )
    return
  console.error(say('installing the pinned dependencies …', '의존성 패키지를 설치하는 중 …'))
  run(['ci', '--no-audit', '--no-fund', '--loglevel=error'])
}

/** Does the lockfile name all that package.json wants, for each platform? What `npm ci` would say, without network. */
export function lockfileIsWhole() {
  return npm(['ci', '--dry-run', '--offline', '--loglevel=error'], 'ignore') === 0
}

function run(args) {
  const status = npm(args)
  if (status !== 0) process.exit(status ?? 1)
}

function npm(args, output = 2) {
  const path = process.env.npm_execpath
  const [command, first] = path ? [process.execPath, [path]] : ['npm', []]
  const { status } = spawnSync(command, [...first, ...args], {
    cwd: at('.'),
    stdio: ['ignore', output, 2],
    shell: !path && process.platform === 'win32',
  })
  return status
}
