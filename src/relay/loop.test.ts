import { describe, expect, it } from 'vitest'
import { parseListen } from '../model/listen.ts'
import { parseTarget } from '../model/target.ts'
import { reachesListen, targetsItself } from './loop.ts'
import { targetPort } from '../model/port-map.ts'

const isLocal = (address: string): boolean => ['127.0.0.1', '::1', '192.168.1.10'].includes(address)
const itself = (listen: string, target: string) =>
  targetsItself(parseListen(listen), parseTarget(target), isLocal)

describe('a rule that is its own target', () => {
  it.each([
    ['8080', '8080'],
    ['8080', 'localhost:8080'],
    ['8080', '192.168.1.10:8080'],
    ['8080', '[::1]:8080'],
    ['127.0.0.1:8080', '127.0.0.1:8080'],
    ['0.0.0.0:8080', '192.168.1.10:8080'],
    ['127.0.0.1:8080', '0.0.0.0:8080'],
    ['8000-8100', '8050'],
    ['8000-8100', '8000-8100'],
    ['unix:/run/a', 'unix:/run/a'],
  ])('%s → %s', (listen, target) => expect(itself(listen, target)).toBe(true))

  it.each([
    ['8080', '8081'],
    ['8080', '192.168.1.99:8080'],
    ['127.0.0.1:8080', '192.168.1.10:8080'],
    ['0.0.0.0:8080', '[::1]:8080'],
    ['[::]:8080', '127.0.0.1:8080'],
    ['8000-8100', '9000-9100'],
    ['8080', 'somewhere.example.org:8080'],
    ['8080', 'docker:web:8080'],
    ['unix:/run/a', 'unix:/run/b'],
  ])('is not %s → %s', (listen, target) => expect(itself(listen, target)).toBe(false))

  it('is known at the dial, too, where the target is a name', () => {
    expect(reachesListen(parseListen('8080'), '::ffff:127.0.0.1', 8080, isLocal)).toBe(true)
    expect(reachesListen(parseListen('8080'), '127.0.0.1', 8081, isLocal)).toBe(false)
  })
})

it('a range keeps its offset, or meets at one port', () => {
  expect(targetPort(8042, { first: 8000, last: 8100 }, { first: 9000, last: 9100 })).toBe(9042)
  expect(targetPort(8042, { first: 8000, last: 8100 }, { first: 80, last: 80 })).toBe(80)
})
