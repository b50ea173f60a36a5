/** What is promised of networks that misbehave; each is made here, of namespaces. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import type { LabHost } from '../../lab/namespaces.ts'
import { echo, ending, promisesFor, World, type ConformanceOptions } from './world.ts'

/** @param here where the test is. */
export function ownNetworkPromises(
  make: MakeEngine,
  options: ConformanceOptions & { readonly here: () => LabHost },
): void {
  const promise = promisesFor(options)
  const userSpace = options.inKernel ? () => {} : promise

  userSpace('meets-itself', 'a dial that is given the very port it dials is refused, and is no target', async () => {
    await using world = new World(make, options)
    const dead = 40_000
    const spare = join(tmpdir(), `naru-${process.pid}-spare.sock`)
    await world.unixTarget(spare)
    const one = await world.forward(`127.0.0.1:${dead}`)
    const health = { everyMs: 1000, rise: 1, fall: 1 }
    const checked = await world.forward(`127.0.0.1:${dead} unix:${spare}`, { health })
    // Of two ports that there are to be given one is taken; the other is the target's.
    await world.target(echo, '127.0.0.1', dead + 1)
    options.here().sysctl('net/ipv4/ip_local_port_range', `${dead} ${dead + 1}`)
    const knock = async (port: number, localPort: number): Promise<string> => {
      const socket = connect({ port, host: '127.0.0.1', localPort, allowHalfOpen: true })
      socket.end('hello')
      return await Promise.race([once(socket, 'data').then(String), ending(socket)])
    }
    try {
      expect(await knock(one.port, 30_001)).toBe('ECONNRESET')
      expect((await world.closed()).closeReason).toBe('target-refused')
      for (let at = 0; at < 4; at++) expect(await knock(checked.port, 30_002 + at)).toBe('hello')
      // The service can begin: nobody has its port.
      const late = await world.target((socket) => socket.end('here'), '127.0.0.1', dead)
      late.close()
    } finally {
      options.here().sysctl('net/ipv4/ip_local_port_range', '32768 60999')
    }
  })
}
