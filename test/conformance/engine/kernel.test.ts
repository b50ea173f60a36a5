import { afterAll, beforeAll } from 'vitest'
import { createKernelEngine } from '../../../src/engines/kernel/index.ts'
import { createHost } from '../../../src/host/index.ts'
import { enter } from '../../lab/enter.ts'
import { Lab } from '../../lab/namespaces.ts'
import { describeWith } from '../../needs.ts'
import { engineConformance } from './engine.ts'

const families = 'the kernel does not turn IPv4 into IPv6 or back'
const limits = 'the kernel counts packets and what conntrack remembers, and no connections'
const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const

describeWith(needs, 'in a network of its own', () => {
  let lab: Lab
  let inside: Disposable

  beforeAll(() => {
    lab = new Lab()
    const [host, other] = [lab.host('host'), lab.host('other')]
    lab.cable(
      { host, interface: 'eth0', addresses: ['10.1.0.1/24', '10.1.0.9/24', '10.2.0.1/24'] },
      { host: other, interface: 'eth0' },
    )
    inside = enter(host)
  })

  afterAll(async () => {
    inside[Symbol.dispose]()
    await lab[Symbol.asyncDispose]()
  })

  engineConformance('kernel', ({ clock }) => createKernelEngine({ host: createHost(), clock }), {
    host: '10.1.0.1',
    targetHost: '10.2.0.1',
    inKernel: true,
    without: {
      'ipv6-to-ipv4': families,
      'ipv4-to-ipv6': families,
      'dual-stack': families,
      v6only: families,
      'udp-crossing': families,
      'udp-reply-address': families,
      'udp-broadcast': 'the kernel forwards no broadcasts (RFC 1812 §5.3.5)',
      'udp-broadcast-ipv4': 'the kernel forwards no broadcasts (RFC 1812 §5.3.5)',
      'limit-connections': limits,
      'limit-source': limits,
      'limit-again': limits,
      'limit-rate': limits,
      update:
        'an edit is one nft transaction, some 20 ms after `update` has said yes; test/lab/kernel.test.ts waits',
      'udp-denied': 'a sender on this machine is told EPERM by the system itself; others hear nothing',
    },
  })
})
