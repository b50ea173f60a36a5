/** The Windows side of `host`, run for real: compiled, in Node for Windows, with wine's own ipconfig and netstat. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Facts } from '../../src/model/facts.ts'
import type { Interface, Route, SocketEntry } from '../../src/host/contract.ts'
import { parseIpconfig } from '../../src/host/windows/ipconfig.ts'
import { parseNetstat } from '../../src/host/windows/netstat.ts'
import { describeWith } from '../needs.ts'
import { startWindows, wineNeeds, type Windows } from './wine.ts'

const root = join(import.meta.dirname, '..', '..')

/** Listens, connects to itself, and prints what the host says of this Windows as one line of JSON. */
const script = `
import { createServer, connect } from 'node:net'
import { createHost } from './out/host/index.js'
const signal = AbortSignal.timeout(40_000)
const host = createHost()
const server = createServer().listen(0, '0.0.0.0', () => {
  const client = connect(server.address().port, '127.0.0.1', async () => {
    const [facts, interfaces, routes, sockets] = await Promise.all([
      host.facts(), host.network.interfaces({ signal }), host.network.defaultRoutes({ signal }),
      host.sockets.list({ signal, all: true }),
    ])
    const echo = await host.runner.run(['cmd', '/c', 'echo', 'by argv'], { signal })
    console.log(JSON.stringify({ facts, interfaces, routes, sockets, echo, port: server.address().port }))
    process.exit()
  })
})
`

describeWith(wineNeeds, 'the Windows host under wine', () => {
  let windows: Windows
  let folder = ''
  beforeAll(async () => {
    windows = await startWindows()
    mkdirSync(join(root, '.cache'), { recursive: true })
    folder = mkdtempSync(join(root, '.cache', 'windows-host-'))
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const project = join(folder, 'tsconfig.json')
    writeFileSync(
      project,
      JSON.stringify({
        extends: '../../tsconfig.build.json',
        compilerOptions: {
          rootDir: '../../src',
          outDir: 'out',
          declaration: false,
          sourceMap: false,
          noEmitOnError: false,
        },
        include: ['../../src/host'],
        exclude: ['../../src/**/*.test.ts'],
      }),
    )
    try {
      execFileSync(process.execPath, [tsc, '-p', project], { stdio: 'ignore' })
    } catch {
      // A type that does not hold is the type check's to tell; what was written is enough here.
    }
    if (!existsSync(join(folder, 'out', 'host', 'index.js'))) throw new Error('nothing was compiled')
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    writeFileSync(join(folder, 'look.js'), script)
  }, 240_000)
  afterAll(async () => {
    await windows?.[Symbol.asyncDispose]()
    if (folder) rmSync(folder, { recursive: true })
  })

  it('says what this Windows is', { timeout: 60_000 }, async () => {
    const { stdout, stderr } = await windows.node(join(folder, 'look.js'), [], { limitMs: 50_000 })
    expect(stdout, stderr).not.toBe('')
    const told = JSON.parse(stdout) as {
      facts: Facts
      interfaces: Interface[]
      routes: Route[]
      sockets: SocketEntry[]
      echo: { exit: number; stdout: string }
      port: number
    }
    expect(told.facts).toMatchObject({ platform: 'win32', firstUnprivilegedPort: 0 })
    expect(told.interfaces.find(({ kind }) => kind === 'loopback')?.addresses).toContainEqual(
      expect.objectContaining({ address: '127.0.0.1' }),
    )
    expect(told.echo).toMatchObject({ exit: 0 })
    expect(told.echo.stdout).toContain('by argv')
    // Wine lists connections, not listeners.
    expect(told.sockets).toContainEqual(
      expect.objectContaining({ protocol: 'tcp', port: told.port, state: 'established' }),
    )
  })

  it('reads wine’s own ipconfig and netstat', { timeout: 60_000 }, async () => {
    const ipconfig = await windows.run(['ipconfig', '/all'])
    const adapters = parseIpconfig(ipconfig.stdout)
    expect(adapters.find(({ name }) => name === 'lo')?.addresses).toContain('127.0.0.1')
    const netstat = await windows.run(['netstat', '-ano'])
    expect(netstat.stdout).toContain('Proto')
    expect(parseNetstat(netstat.stdout).every(({ port }) => port > 0)).toBe(true)
  })
})
