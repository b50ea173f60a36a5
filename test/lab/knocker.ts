/** Many knocks at once from several hosts of the lab: a process in each, as a thread can be in one network at a time. */
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Protocol } from '../../src/base/port.ts'
import type { LabHost } from './namespaces.ts'

const program = fileURLToPath(new URL('knocker.mjs', import.meta.url))

export interface KnockerAsk {
  readonly protocol: Protocol
  readonly address: string
  readonly port: number
  /** The client's own address. @default whichever the route gives */
  readonly from?: string
  /** How long silence may last. */
  readonly waitMs: number
}

export class Knocker {
  readonly #send: (line: string) => void
  readonly #waiting = new Map<number, (result: string) => void>()
  #last = 0

  constructor(host: LabHost) {
    const child = host.start([process.execPath, program], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#send = (line) => void child.stdin?.write(`${line}\n`)
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    lines.on('line', (line) => {
      const { id, result } = JSON.parse(line) as { id: number; result: string }
      this.#waiting.get(id)?.(result)
      this.#waiting.delete(id)
    })
  }

  /** Did an answer come back? */
  isAnswered(ask: KnockerAsk): Promise<boolean> {
    const id = ++this.#last
    return new Promise((resolve) => {
      this.#waiting.set(id, (result) => resolve(result === 'in'))
      this.#send(JSON.stringify({ id, ...ask }))
    })
  }
}
