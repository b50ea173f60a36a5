/** With a live UDP session a rule can be closed, moved and opened again: nothing of Naru stands in its own way. */
import type { Socket } from 'node:dgram'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createForwarder } from '../../src/index.ts'
import { makeSocketsEngine } from '../../src/engines/sockets/engine.ts'
import { nextDatagram, sendTo, World } from '../conformance/engine/world.ts'
import { freePort } from '../free-port.ts'

for (const engine of ['sockets', 'splice'] as const) {
  it.runIf(process.platform === 'linux')(`a rule of ${engine} opens again beside its sessions`, async () => {
    await using world = new World(makeSocketsEngine)
    const state = await mkdtemp(join(tmpdir(), 'naru-reopen-'))
    const target = async (name: string) =>
      (await world.udpTarget((_asked, from, socket) => socket.send(name, from.port, from.address))).at
    const [a, b] = [await target('a'), await target('b')]
    const [one, two] = [await freePort(), await freePort()]
    const at = (port: number, to: string, address = '127.0.0.1') => {
      return { listen: `${address}:${port}/udp`, target: to, engine }
    }
    const ask = async (client: Socket, port: number): Promise<string> => {
      const answer = nextDatagram(client)
      await sendTo(client, '?', port)
      return String((await answer).datagram)
    }
    const fresh = async (port: number): Promise<string> => ask(await world.udp(), port)
    const naru = await createForwarder({ stateFolder: state, rules: { a: at(one, a), b: at(two, b) } })
    try {
      const client = await world.udp()
      expect(await ask(client, one)).toBe('a')
      const changed = async (change: Promise<{ failures: readonly unknown[] }>): Promise<void> =>
        expect((await change).failures).toEqual([])

      await changed(naru.rules.disable('a'))
      await changed(naru.rules.enable('a'))
      expect([await fresh(one), await ask(client, one)]).toEqual(['a', 'a'])

      await changed(naru.rules.edit('a', { listen: `0.0.0.0:${one}/udp` }))
      await changed(naru.rules.edit('a', { listen: `127.0.0.1:${one}/udp` }))
      expect([await fresh(one), await ask(client, one)]).toEqual(['a', 'a'])

      await changed(naru.rules.remove('a'))
      await changed(naru.rules.add('c', at(one, b)))
      expect([await fresh(one), await ask(client, one)]).toEqual(['b', 'a'])
    } finally {
      await naru.stop()
      await rm(state, { recursive: true, force: true })
    }
  })
}
