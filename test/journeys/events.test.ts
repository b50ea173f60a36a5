/** What a listener is told of connections, whichever engine carries them. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createForwarder, type NaruEvent } from '../../src/index.ts'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'

describeWith({ platform: 'linux' }, 'events', () => {
  it.each(['splice', 'sockets'] as const)(
    'tell who came and how it ended (%s)',
    async (engine) => {
      await built()
      const stateFolder = await mkdtemp(join(tmpdir(), 'naru-events-'))
      const service = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1')
      await once(service, 'listening')
      const port = await freePort()
      const target = `127.0.0.1:${(service.address() as AddressInfo).port}`
      const rules = { web: { listen: `127.0.0.1:${port}`, target, engine } }
      try {
        await using naru = await createForwarder({ rules, stateFolder })
        const told: NaruEvent[] = []
        const listening = (async () => {
          for await (const event of naru.events({ signal: AbortSignal.timeout(10_000) })) {
            if (event.type === 'opened' || event.type === 'closed') told.push(event)
            if (event.type === 'closed') return
          }
        })()
        const client = connect(port, '127.0.0.1')
        await once(client, 'connect')
        const { localPort } = client
        await once(client.resume(), 'close')
        await listening
        const connection = { rule: 'web', client: `127.0.0.1:${localPort}`, target }
        expect(told).toMatchObject([
          { type: 'opened', connection: { rule: 'web', client: connection.client } },
          { type: 'closed', connection: { ...connection, closeReason: 'finished', bytesToClient: 6 } },
        ])
        expect(await naru.connections()).toMatchObject([connection])
      } finally {
        service.close()
        await rm(stateFolder, { recursive: true, force: true })
      }
    },
    60_000,
  )
})
