/** What most tests of the page stand on: a service, the built daemon with rules that lead there, and a browser. */
import type { Browser } from 'playwright-core'
import { Scope } from '../../src/base/scope.ts'
import { built } from '../built.ts'
import { startBrowser, Visitor, type VisitorOptions } from './browser.ts'
import { Daemon } from './daemon.ts'
import { Service } from './service.ts'

/** For `beforeAll`: a build, a daemon and a browser on a busy machine. */
export const stageMs = 180_000

export class Stage implements AsyncDisposable {
  readonly service: Service
  readonly daemon: Daemon
  readonly browser: Browser
  readonly #scope: Scope

  private constructor(service: Service, daemon: Daemon, browser: Browser, scope: Scope) {
    this.service = service
    this.daemon = daemon
    this.browser = browser
    this.#scope = scope
  }

  /** @param file text of naru.yaml, for the port of the service @param says what the service answers */
  static async build(
    file: (port: number) => string | Promise<string>,
    says = 'hello from the guest',
  ): Promise<Stage> {
    await built()
    await using scope = new Scope()
    const service = scope.use(await Service.start(says))
    const daemon = scope.use(await Daemon.start({ file: await file(service.port) }))
    const browser = await startBrowser()
    scope.defer(() => browser.close())
    return new Stage(service, daemon, browser, scope.move())
  }

  /** With the link that logs in. */
  visit(options: VisitorOptions = {}): Promise<Visitor> {
    return Visitor.open(this.browser, this.daemon.loginUrl, options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]()
  }
}
