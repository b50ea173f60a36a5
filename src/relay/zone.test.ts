import { describe, expect, it } from 'vitest'
import { systemClock } from '../base/clock.ts'
import { describeWith } from '../../test/needs.ts'
import { watchLink, withZoneName } from './zone.ts'

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

describe('the link of a link-local listen', () => {
  const numbered = (scopeid: number) => ({
    ppp0: [{ ...entry, family: 'IPv6' as const, address: 'fe80::1', scopeid }],
  })
  /** Each look by hand. */
  const hand = () => {
    let look = (): void => {}
    const clock = {
      ...systemClock,
      every: (_: number, run: () => void) => {
        look = run
        return { [Symbol.dispose]: () => void (look = () => {}) }
      },
    }
    return { clock, look: () => look() }
  }

  it('is another once its interface was made anew, told once, and not while that is down', () => {
    let now: Record<string, ReturnType<typeof numbered>['ppp0']> = numbered(6)
    const { clock, look } = hand()
    const told: string[] = []
    watchLink(
      'fe80::1%ppp0',
      clock,
      ({ en }) => told.push(en),
      () => now,
    )
    look()
    now = {}
    look()
    expect(told).toEqual([])
    now = numbered(9)
    look()
    look()
    expect(told).toEqual(['ppp0 was made anew'])
  })

  it.each([null, '0.0.0.0', 'fe80::1%6', '2001:db8::1'])('%s has none by name', (address) => {
    expect(watchLink(address, systemClock, () => {})).toBeNull()
  })
})
