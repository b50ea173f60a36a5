/** A web server of this test, as the service behind a rule: it says one sentence, and can be stopped and started again. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export class Service implements AsyncDisposable {
  readonly #text: string
  #server: Server | null = null
  #port = 0

  private constructor(text: string) {
    this.#text = text
  }

  static async start(text: string): Promise<Service> {
    const service = new Service(text)
    await service.start()
    return service
  }

  get port(): number {
    return this.#port
  }

  /** On the same port as before. */
  async start(): Promise<void> {
    this.#server = createServer((_request, response) =>
      response.setHeader('connection', 'close').end(this.#text),
    ).listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** What is served on a port of this machine; the reason where nothing is. */
export async function served(port: number): Promise<string> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(5000),
    })
    return await answer.text()
  } catch (error) {
    return `nothing: ${String(error)}`
  }
}
