import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { assert, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { askStun, parseBindingAnswer } from './stun.ts'

/** Answers with XOR-MAPPED-ADDRESS 203.0.113.9:4660, after `ignore` requests. */
async function stunServer(ignore = 0): Promise<{ port: number; close(): void }> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  let asked = 0
  socket.on('message', (message, from) => {
    if (asked++ < ignore) return
    socket.send(answer(message.subarray(8, 20)), from.port, from.address)
  })
  return { port: socket.address().port, close: () => void socket.close() }
}

function answer(transaction: Buffer): Buffer {
  const body = Buffer.from('0020000800013326ea12d54b', 'hex')
  const header = Buffer.from('0101000c2112a442', 'hex')
  return Buffer.concat([header, transaction, body])
}

describe('the STUN client', () => {
  const signal = AbortSignal.timeout(20_000)

  it('reads the address that the server saw', async () => {
    const server = await stunServer()
    const got = await askStun({ signal, servers: [{ host: '127.0.0.1', port: server.port }] })
    expect(got).toEqual({ server: `127.0.0.1:${server.port}`, address: '203.0.113.9', port: 0x1234 })
    server.close()
  })

  it('asks again where a datagram was lost, and the next server where one is silent', async () => {
    const [silent, lossy] = [await stunServer(99), await stunServer(1)]
    const servers = [silent, lossy].map(({ port }) => ({ host: '127.0.0.1', port }))
    expect(await askStun({ signal, servers, limitMs: 900 })).toMatchObject({ address: '203.0.113.9' })
    silent.close()
    lossy.close()
  })

  it('says null where nobody answers', async () => {
    const silent = await stunServer(99)
    const servers = [{ host: '127.0.0.1', port: silent.port }]
    expect(await askStun({ signal, servers, limitMs: 200 })).toBeNull()
    silent.close()
  })

  it('believes no answer to another question, and survives any bytes', () => {
    const transaction = Buffer.alloc(12, 7)
    expect(parseBindingAnswer(answer(Buffer.alloc(12, 8)), transaction)).toBeNull()
    assert(
      property(uint8Array({ maxLength: 200 }), (bytes) => {
        parseBindingAnswer(Buffer.from(bytes), transaction)
        parseBindingAnswer(Buffer.concat([answer(transaction).subarray(0, 20), bytes]), transaction)
      }),
    )
  })
})
