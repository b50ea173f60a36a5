/**
 * A router that maps ports although its own address is private, as most cheap ones do (miniupnpd refuses): NAT-PMP in
 * the test's process, real NAT in the kernel of its namespace.
 */
import { createSocket, type Socket } from 'node:dgram'
import { enter } from './enter.ts'
import type { LabHost } from './namespaces.ts'

export class LenientRouter implements AsyncDisposable {
  readonly #host: LabHost
  readonly #socket: Socket
  readonly #wan: string

  private constructor(host: LabHost, socket: Socket, wan: string) {
    this.#host = host
    this.#socket = socket
    this.#wan = wan
    socket.on('message', (bytes, from) =>
      socket.send(this.#answer(bytes, from.address), from.port, from.address),
    )
  }

  /** @param wan its address towards the outer router; the interface is `wan`, the other one `lan`. */
  static async start(host: LabHost, wan: string): Promise<LenientRouter> {
    host.sysctl('net/ipv4/ip_forward', '1')
    host.run(['nft', '-f', '-'], {
      input: `table ip lenient {
        chain forwards { }
        chain pre { type nat hook prerouting priority -100; jump forwards; }
        chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
      }`,
    })
    // A socket stays in the namespace where it was opened.
    using _inside = enter(host)
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(5351, '0.0.0.0', resolve))
    return new LenientRouter(host, socket, wan)
  }

  mappings(): readonly string[] {
    const rules = this.#host.run(['nft', 'list', 'chain', 'ip', 'lenient', 'forwards'])
    return [...rules.matchAll(/dport (\d+) dnat to ([\d.:]+)/g)].map(([, port, to]) => `${port}→${to}`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }

  #answer(bytes: Buffer, client: string): Buffer {
    // PCP is answered as NAT-PMP answers it: unsupported version.
    if (bytes[0] !== 0) return Buffer.from([0, 0, 0, 1, 0, 0, 0, 0])
    const opcode = bytes[1] ?? 0
    const answer = Buffer.alloc(opcode === 0 ? 12 : 16)
    answer.writeUInt8(opcode + 128, 1)
    answer.writeUInt32BE(Math.floor(process.uptime()), 4)
    if (opcode === 0) answer.set(this.#wan.split('.').map(Number), 8)
    else this.#map(bytes, client, answer)
    return answer
  }

  #map(bytes: Buffer, client: string, answer: Buffer): void {
    const [internal, external, lifetime] = [
      bytes.readUInt16BE(4),
      bytes.readUInt16BE(6),
      bytes.readUInt32BE(8),
    ]
    const protocol = bytes[1] === 1 ? 'udp' : 'tcp'
    this.#host.run(['nft', 'flush', 'chain', 'ip', 'lenient', 'forwards'])
    const to = `${client}:${internal}`
    if (lifetime > 0)
      this.#host.run([
        'nft',
        'add',
        'rule',
        'ip',
        'lenient',
        'forwards',
        'iifname',
        'wan',
        protocol,
        'dport',
        String(external),
        'dnat',
        'to',
        to,
      ])
    answer.writeUInt16BE(internal, 8)
    answer.writeUInt16BE(external, 10)
    answer.writeUInt32BE(lifetime, 12)
  }
}
