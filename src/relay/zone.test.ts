import { describe, expect, it } from 'vitest'
import { describeWith } from '../../test/needs.ts'
import { withZoneName } from './zone.ts'

const entry = { netmask: 'ffff:ffff:ffff:ffff::', mac: '02:00:00:00:00:01', internal: false, cidr: null }
const interfaces = () => ({
  eth0: [{ ...entry, family: 'IPv6' as const, address: 'fe80::1', scopeid: 6 }],
})

describeWith({ platform: 'linux' }, 'where interfaces are told by name', () => {
  it('a zone by number is the interface that has it', () => {
    expect(withZoneName('fe80::2%6', interfaces)).toBe('fe80::2%eth0')
  })
})

describe('anywhere', () => {
  it.each(['fe80::2%eth0', 'fe80::2%7', '10.0.0.1', 'fe80::2'])('%s stays as it is', (address) => {
    expect(withZoneName(address, interfaces)).toBe(address)
  })
})
