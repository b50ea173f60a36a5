import { expect, it } from 'vitest'
import { parseNetwork, parseUserNet } from './monitor.ts'

/** Recorded from QEMU 7.2 with two user networks. */
const usernet =
  'Hub -1 (n0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n' +
  '  TCP[HOST_FORWARD]   8               * 18222       10.0.2.15    22     0     0\r\n' +
  '  TCP[ESTABLISHED]   14       127.0.0.1 18222       10.0.2.15    22     0     0\r\n' +
  'Hub -1 (n1):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n' +
  '  UDP[HOST_FORWARD]  13       127.0.0.1 18900       10.0.2.15    53     0     0\r\n'

it('info usernet lists forwards with the network that keeps them', () => {
  expect(parseUserNet(usernet)).toEqual([
    {
      netdev: 'n0',
      protocol: 'tcp',
      hostAddress: null,
      hostPort: 18_222,
      guestAddress: '10.0.2.15',
      guestPort: 22,
    },
    {
      netdev: 'n1',
      protocol: 'udp',
      hostAddress: '127.0.0.1',
      hostPort: 18_900,
      guestAddress: '10.0.2.15',
      guestPort: 53,
    },
  ])
})

it('without a user network there is no forward in what it says', () => {
  expect(parseUserNet('')).toEqual([])
})

it('info network tells each card and where it is plugged in', () => {
  const text =
    'virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\r\n' +
    ' \\ n0: index=0,type=user,net=10.0.2.0,restrict=off\r\n' +
    'e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:AA:BB:CC\r\n' +
    ' \\ n1: index=0,type=tap,ifname=tap0,script=no,downscript=no\r\n'
  expect(parseNetwork(text)).toEqual([
    { mac: '52:54:00:12:34:56', netdev: 'n0', type: 'user', interface: null },
    { mac: '52:54:00:aa:bb:cc', netdev: 'n1', type: 'tap', interface: 'tap0' },
  ])
})
