import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { describeWith } from '../../../test/needs.ts'
import { systemClock } from '../../base/clock.ts'
import { udpDoors } from '../../host/linux/udp-bind.ts'
import type { InetListen } from '../../model/listen.ts'
import { DatagramDoors, localAddresses, type DatagramDoor } from './udp-listen.ts'

const anywhere: InetListen = { kind: 'inet', address: null, ports: { first: 0, last: 0 }, protocols: ['udp'] }

it('a wildcard follows the machine’s addresses as they come and go', async () => {
  let addresses = ['127.0.0.1']
  const gone: DatagramDoor[] = []
  const heard: string[] = []
  const doors = await DatagramDoors.open(anywhere, {
    clock: systemClock,
    localAddresses: () => addresses,
    owner: () => Promise.resolve(null),
    onError: () => {},
    onGone: (door) => gone.push(door),
    onDatagram: (datagram, _from, door) => heard.push(`${door.address} ${String(datagram)}`),
  })
  const port = Number(/:(\d+)\//.exec(doors.listening[0]!)?.[1])
  const client = createSocket('udp4')
  const reach = async (address: string): Promise<void> => {
    const before = heard.length
    client.send('hello', port, address)
    for (let tries = 0; heard.length === before && tries < 100; tries++)
      await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await reach('127.0.0.1')
  addresses = ['127.0.0.1', '127.0.0.2']
  await doors.refresh()
  await reach('127.0.0.2')
  addresses = ['127.0.0.2']
  await doors.refresh()
  await reach('127.0.0.2')
  expect(heard).toEqual(['127.0.0.1 hello', '127.0.0.2 hello', '127.0.0.2 hello'])
  expect(gone.map(({ address }) => address)).toEqual(['127.0.0.1'])
  doors.close()
  expect(doors.open).toBe(false)
  client.close()
  await once(client, 'close')
})

it('an address that is not there yet is no reason to fail a wildcard', async () => {
  const doors = await DatagramDoors.open(anywhere, {
    clock: systemClock,
    localAddresses: () => ['127.0.0.1', '203.0.113.77'],
    owner: () => Promise.resolve(null),
    onError: () => {},
    onGone: () => {},
    onDatagram: () => {},
  })
  expect(doors.open).toBe(true)
  doors.close()
})

describeWith({ platform: 'linux' }, 'beside a wildcard socket', () => {
  it('the single address is preferred, the wildcard hears the rest, and nobody may join them', async () => {
    const heard: string[] = []
    const doors = await DatagramDoors.open(anywhere, {
      clock: systemClock,
      localAddresses: () => ['127.0.0.1'],
      besides: udpDoors(),
      owner: () => Promise.resolve(null),
      onError: () => {},
      onGone: () => {},
      onDatagram: (_datagram, _from, door) => heard.push(door.address),
    })
    const port = Number(/:(\d+)\//.exec(doors.listening[0]!)?.[1])
    const client = createSocket('udp4')
    for (const [at, address] of ['127.0.0.1', '127.0.0.2'].entries()) {
      client.send('hello', port, address)
      await expect.poll(() => heard.length).toBe(at + 1)
    }
    expect(heard).toEqual(['127.0.0.1', '0.0.0.0'])
    for (const address of ['127.0.0.1', '0.0.0.0']) {
      const thief = createSocket({ type: 'udp4', reuseAddr: true })
      thief.bind(port, address)
      const [error] = (await once(thief, 'error')) as [NodeJS.ErrnoException]
      expect(error.code).toBe('EADDRINUSE')
      thief.close()
    }
    doors.close()
    client.close()
  })
})

it('the machine has its loopback address', () => {
  expect(localAddresses()).toContain('127.0.0.1')
})
