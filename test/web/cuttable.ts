/**
 * A TCP relay in front of the daemon whose every connection can be cut while the daemon lives on.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export class Cuttable implements AsyncDisposable {
  readonly #target: number
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null
  #port = 0

  private constructor(target: number) {
    this.#target = target
  }

  static async start(target: number): Promise<Cuttable> {
    const cuttable = new Cuttable(target)
    await cuttable.open()
    return cuttable
  }

  get port(): number {
    return this.#port
  }

  /** On the same port as before. */
  async open(): Promise<void> {
    this.#server = createServer((client) => this.#carry(client)).listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Every connection is reset; new ones get through. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** And new ones are refused until `open`. */
  async close(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    const closed = once(server, 'close')
    server.close()
    this.cut()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #carry(client: Socket): void {
    const daemon = connect(this.#target, '127.0.0.1')
    for (const [one, other] of [
      [client, daemon],
      [daemon, client],
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => {})
      one.once('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
    client.pipe(daemon).pipe(client)
  }
}
