// `npm run release`: everything that goes out, in out/: the package, one file for each platform, packages for Debian and for
// Fedora, RHEL and openSUSE (where dpkg-deb and rpmbuild are there), a container image (root, on Debian), the licences of what is inside, a list of parts (CycloneDX) and SHA-256 sums. The same commit gives the same bytes.
//   --check     makes it twice and compares, and tries what is too slow for each `npm test`
//   --key FILE  signs the sums with that minisign key (minisign asks for its password)
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { argv, execPath } from 'node:process'
import { fileURLToPath } from 'node:url'
import { oneFile } from '../packaging/one-file.mjs'
import { architectures, partsOfNode, targets } from '../packaging/packages.mjs'
import { installDependencies } from './install.mjs'
import { say } from './language.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = join(root, 'out')
const keyAt = argv.indexOf('--key')
process.chdir(root)

if (git('status', '--porcelain') !== '') {
  console.error(
    say(
      'commit everything first: a release names its commit',
      '먼저 모두 커밋하세요. 릴리스에는 커밋이 적힙니다',
    ),
  )
  process.exit(1)
}
const commit = git('rev-parse', 'HEAD')
const seconds = Number(git('log', '-1', '--format=%ct'))
/** Who makes the release. */
const maintainer = git('log', '-1', '--format=%an <%ae>')
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))

installDependencies()
await make(out)
if (argv.includes('--check')) {
  await check()
  tryAll()
}
if (keyAt !== -1)
  execFileSync('minisign', ['-S', '-s', argv[keyAt + 1], '-m', join(out, 'SHA256SUMS')], { stdio: 'inherit' })
process.stdout.write(readFileSync(join(out, 'SHA256SUMS'), 'utf8'))

/** Builds anew and makes all of it in a folder. */
async function make(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  node('scripts/build.mjs', '--force')
  const told = join(root, 'dist/release.json')
  writeFileSync(told, `${JSON.stringify({ commit })}\n`)
  try {
    npm('pack', '--silent', '--ignore-scripts', '--pack-destination', folder)
    for (const target of Object.keys(targets)) {
      const file = join(folder, `naru-${version}-${target}${target.startsWith('win') ? '.exe' : ''}`)
      const licences = await oneFile(target, file)
      if (target === 'linux-x64') writeFileSync(join(folder, 'LICENSES.txt'), licences)
      if (target in architectures) await linuxPackages(target, file, licences, folder)
    }
    await containerImage(folder)
  } finally {
    rmSync(told)
  }
  writeFileSync(join(folder, 'naru.cdx.json'), `${JSON.stringify(parts(), null, 2)}\n`)
  const sums = await sumsOf(folder)
  writeFileSync(join(folder, 'SHA256SUMS'), sums.map(([name, sum]) => `${sum}  ${name}\n`).join(''))
}

/** Of each format whose own tool is here. Imported late: they read what was built. */
async function linuxPackages(target, program, licences, folder) {
  const given = { target, program, licences, version, maintainer, seconds }
  if (existsSync('/usr/bin/dpkg-deb')) {
    const { deb } = await import('../packaging/deb.mjs')
    await deb({ ...given, file: join(folder, `naru_${version}_${architectures[target].deb}.deb`) })
  }
  if (existsSync('/usr/bin/rpmbuild')) {
    const { rpm } = await import('../packaging/rpm.mjs')
    await rpm({ ...given, file: join(folder, `naru-${version}-1.${architectures[target].rpm}.rpm`) })
  }
}

/** For this machine's kind, where what it is made with is here. */
async function containerImage(folder) {
  const tools = ['/usr/bin/apt-get', '/usr/bin/dpkg-deb', '/usr/bin/strip', '/usr/sbin/chroot']
  if (process.getuid?.() !== 0 || !tools.every((path) => existsSync(path))) return
  const { image } = await import('../packaging/image.mjs')
  await image(join(folder, `naru-${version}-image.tar`), { seconds })
}

/** npm's list of what is installed for use, with Node, and without what differs each time it is asked. */
function parts() {
  const list = JSON.parse(npm('sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'))
  const id = createHash('sha256').update(commit).digest('hex')
  list.serialNumber = `urn:uuid:${id.slice(0, 8)}-${id.slice(8, 12)}-5${id.slice(13, 16)}-8${id.slice(17, 20)}-${id.slice(20, 32)}`
  list.metadata.timestamp = new Date(seconds * 1000).toISOString()
  list.metadata.component.name = 'naru'
  list.components.push(...partsOfNode())
  return list
}

/** @returns name and SHA-256 of each file, by name */
async function sumsOf(folder) {
  const names = readdirSync(folder).filter((name) => !name.startsWith('SHA256SUMS'))
  return Promise.all(names.toSorted().map(async (name) => [name, await sumOf(join(folder, name))]))
}

async function sumOf(file) {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk)
  return hash.digest('hex')
}

async function check() {
  const again = join(root, 'out/again')
  await make(again)
  const [first, second] = ['SHA256SUMS', 'again/SHA256SUMS'].map((name) =>
    readFileSync(join(out, name), 'utf8'),
  )
  rmSync(again, { recursive: true })
  if (first === second) return
  console.error(`${say('two builds differ', '두 빌드가 다릅니다')}:\n${first}\n${second}`)
  process.exit(1)
}

/** What a release is tried with beyond `npm test`: Debian's own checker, and what is made instead of its stand-in. */
function tryAll() {
  const packages = readdirSync(out).filter((name) => name.endsWith('.deb'))
  if (packages.length > 0 && existsSync('/usr/bin/lintian'))
    execFileSync('lintian', ['--fail-on', 'error', ...packages], { cwd: out, stdio: ['ignore', 2, 2] })
  const tests = ['test/one-file.test.ts', 'test/packed.test.ts', 'test/journeys/deb.test.ts']
  const { status } = spawnSync(execPath, ['node_modules/vitest/vitest.mjs', 'run', ...tests], {
    stdio: 'inherit',
    env: { ...process.env, NARU_RELEASE: '1' },
  })
  if (status !== 0) process.exit(1)
}

function git(...args) {
  return execFileSync('git', args, { encoding: 'utf8' }).trim()
}

function node(...args) {
  execFileSync(execPath, args, { stdio: ['ignore', 2, 2] })
}

function npm(...args) {
  const windows = process.platform === 'win32'
  return execFileSync('npm', args, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    shell: windows,
    stdio: ['ignore', 'pipe', 2],
  })
}
