/**
 * The article's home for the browser: internet, router with UPnP, and a computer whose firewall drops what nobody
 * opened. The web server, the daemon and the browser run on that computer.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { Scope } from '../../src/base/scope.ts'
import { nftFirewall, type LabFirewall } from '../lab/firewalls.ts'
import { end, Lab } from '../lab/namespaces.ts'
import { homeAddresses, homeNetwork, type Home } from '../lab/router.ts'
import type { Needs } from '../needs.ts'
import { chromiumPath, startBrowser } from './browser.ts'
import { Daemon } from './daemon.ts'

export const homeNeeds: Needs = {
  platform: 'linux',
  root: true,
  commands: ['ip', 'nft', 'miniupnpd', 'curl'],
  files: [chromiumPath],
}

export class WebHome implements AsyncDisposable {
  readonly home: Home
  readonly firewall: LabFirewall
  readonly daemon: Daemon
  readonly browser: Browser
  readonly #scope: Scope
  #server: ChildProcess | null = null

  private constructor(home: Home, firewall: LabFirewall, daemon: Daemon, browser: Browser, scope: Scope) {
    this.home = home
    this.firewall = firewall
    this.daemon = daemon
    this.browser = browser
    this.#scope = scope
  }

  /** @param file text of naru.yaml */
  static async build(file?: string): Promise<WebHome> {
    await using scope = new Scope()
    const home = scope.use(await homeNetwork(scope.use(new Lab())))
    const firewall = scope.use(nftFirewall(home.host))
    const { through } = firewall
    const daemon = scope.use(await Daemon.start({ through, ...(file !== undefined && { file }) }))
    const browser = await startBrowser(await starter(through, scope))
    scope.defer(() => browser.close())
    return new WebHome(home, firewall, daemon, browser, scope.move())
  }

  /** The service behind the rules: `hello from the guest`, on 127.0.0.1:80. */
  async startService(): Promise<void> {
    const script = `require('http').createServer((q, a) => a.end('hello from the guest')).listen(80, '127.0.0.1', () => console.log('up'))`
    this.#server = this.home.host.start([process.execPath, '-e', script])
    await once(this.#server.stdout as NodeJS.ReadableStream, 'data')
  }

  async stopService(): Promise<void> {
    if (this.#server) await end(this.#server)
    this.#server = null
  }

  /** What the internet sees on a port of the router. */
  fromInternet(port: number): string {
    const url = `http://${homeAddresses.wan}:${port}/`
    try {
      return this.home.internet.run(['curl', '-s', '--max-time', '5', url])
    } catch {
      return 'nothing'
    }
  }

  /** Somebody takes a port's rule out of the firewall. @throws where it has none */
  closeInFirewall(port: number): void {
    const chain = ['inet', 'filter', 'input']
    const listed = this.firewall.run(['nft', '-a', 'list', 'chain', ...chain])
    const handle = new RegExp(`dport ${port} .*# handle (\\d+)`).exec(listed)?.[1]
    this.firewall.run(['nft', 'delete', 'rule', ...chain, 'handle', String(handle)])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]()
  }
}

/** One file that starts Chromium there: its caller knows only a path. */
export async function starter(through: readonly string[], scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'naru-chromium-'))
  scope.defer(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'chromium')
  await writeFile(path, `#!/bin/sh\nexec ${through.join(' ')} ${chromiumPath} "$@"\n`)
  await chmod(path, 0o755)
  return path
}
