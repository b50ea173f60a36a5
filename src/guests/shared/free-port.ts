/** A run of free loopback ports for a hypervisor to listen on, with the relay in front of it. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { PortRange, Protocol } from '../../base/port.ts'

/** Somebody may take them before we do: the caller tries again. @throws Error where 20 tries found no run of `count` */
export async function freePorts(protocol: Protocol, count: number): Promise<PortRange> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const first = await boundPort(protocol, 0)
    if (first === null || first + count - 1 > 65_535) continue
    let last = first
    while (last < first + count - 1 && (await boundPort(protocol, last + 1)) !== null) last++
    if (last === first + count - 1) return { first, last }
  }
  throw new Error(`no ${count} free ports in a row`)
}

/** Binds and lets go again; null where it is taken. */
async function boundPort(protocol: Protocol, port: number): Promise<number | null> {
  const server = protocol === 'tcp' ? createServer() : createSocket('udp4')
  try {
    if ('listen' in server) server.listen(port, '127.0.0.1')
    else server.bind(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as { port: number }).port
  } catch {
    return null
  } finally {
    await new Promise<void>((resolve) => {
      try {
        server.close(() => resolve())
      } catch {
        resolve()
      }
    })
  }
}
