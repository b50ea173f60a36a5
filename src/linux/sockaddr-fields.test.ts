import { expect, it } from 'vitest'
import { addressOf, endpointOf, peerIn, portOf, sockaddrOf, sockaddrOfPath } from './sockaddr-fields.ts'

it.each([
  ['192.168.1.7', 50_123, '192.168.1.7:50123'],
  ['::1', 80, '[::1]:80'],
  ['2001:db8::1', 65_535, '[2001:db8::1]:65535'],
  ['::ffff:10.0.0.1', 1, '10.0.0.1:1'],
  ['fe80::1%7', 443, '[fe80::1%7]:443'],
])('%s, port %d, is written and read back', (address, port, endpoint) => {
  const sockaddr = sockaddrOf(address, port)
  expect(endpointOf(sockaddr)).toBe(endpoint)
  expect(portOf(sockaddr)).toBe(port)
  expect(peerIn(sockaddr)?.port).toBe(port)
})

it('a Unix peer has no address', () => {
  expect(addressOf(sockaddrOfPath('/run/x'))).toBe('')
  expect(peerIn(sockaddrOfPath('/run/x'))).toBeNull()
})
