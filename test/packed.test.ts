/** The package as `npm pack` makes it: what is in it, and that it works for whoever installs it. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from './built.ts'
import { freePort } from './free-port.ts'

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'naru-packed-'))
/** A home and a state of its own, and npm's ordinary cache: the dependencies are in it since they were installed here. */
const env = {
  ...process.env,
  NARU_STATE: join(folder, 'state'),
  NARU_CONFIG: join(folder, 'naru.yaml'),
  LANG: 'C',
  npm_config_ignore_scripts: 'true',
  npm_config_prefer_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
}
const windows = process.platform === 'win32'
let tarball: string
let paths: string[]

function npm(...args: string[]): string {
  return execFileSync(windows ? 'npm.cmd' : 'npm', args, { cwd: root, env, encoding: 'utf8', shell: windows })
}

beforeAll(async () => {
  await built()
  const told = JSON.parse(npm('pack', '--json', '--pack-destination', folder)) as {
    filename: string
    files: { path: string }[]
  }[]
  const [{ filename, files }] = told as [(typeof told)[number]]
  tarball = join(folder, filename)
  paths = files.map(({ path }) => path)
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('has the texts that go with it: how it is guarded, its licence, and those of what is inside', () => {
  const page = 'web/dist/LICENSES.txt'
  const program = 'dist/bundle/LICENSES.txt'
  expect(paths).toEqual(expect.arrayContaining(['SECURITY.md', 'LICENSE', page, program]))
  for (const [file, names] of Object.entries({
    [page]: ['react', 'react-dom', 'uplot'],
    [program]: ['hono', 'ipaddr.js', 'pino', 'zod'],
  })) {
    const texts = readFileSync(join(root, file), 'utf8')
    for (const name of names)
      expect(texts).toMatch(new RegExp(`^${name} \\d[^]*?Permission is hereby granted`, 'm'))
  }
})

it('has nothing that only its makers need: no sources, tests, source maps, stamps or pictures', () => {
  const tops = new Set(paths.map((path) => path.split('/')[0]))
  const allowed =
    'CHANGELOG.md LICENSE README.ko.md README.md SECURITY.md bin dist docs examples locales package.json web'
  expect(tops).toEqual(new Set(allowed.split(' ')))
  expect(paths.filter((path) => /\.map$|\.built$|\.png$|\.test\.|^web\/(?!dist\/)/.test(path))).toEqual([])
})

it('forwards once it is installed, with install scripts denied', { timeout: 120_000 }, async () => {
  const prefix = join(folder, 'prefix')
  npm('install', '--global', '--prefix', prefix, tarball)
  const command = join(prefix, windows ? 'naru.cmd' : 'bin/naru')
  expect(execFileSync(command, ['--version'], { env, encoding: 'utf8', shell: windows })).toBe(
    `${(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version}\n`,
  )
  expect(
    execFileSync(command, ['--help', '--lang', 'ko'], { env, encoding: 'utf8', shell: windows }),
  ).toMatch(/[가-힣]/)

  const target = createServer((socket) => socket.on('error', () => {}).end('from the target'))
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  const listen = await freePort()
  const naru = spawn(
    command,
    ['open', `127.0.0.1:${listen}`, `127.0.0.1:${(target.address() as AddressInfo).port}`, '--json'],
    { env, stdio: ['ignore', 'pipe', 'inherit'], shell: windows },
  )
  await once(naru.stdout, 'data')
  expect(await heard(listen)).toBe('from the target')
  naru.kill('SIGINT')
  expect(await once(naru, 'exit')).toEqual([0, null])
  target.close()
})

async function heard(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}
