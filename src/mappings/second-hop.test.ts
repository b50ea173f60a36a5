import { expect, it } from 'vitest'
import { fakeHost } from '../../test/fakes/host.ts'
import { hopIn, outerCandidates, secondHop } from './second-hop.ts'

it('reads who answered from ping and traceroute, in whatever language', () => {
  const linux =
    'PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.\nFrom 192.168.1.1 icmp_seq=1 Time to live exceeded\n'
  const windows =
    '192.0.2.1에 Ping을 보냅니다 (32바이트):\r\n192.168.219.1의 응답: 전송 중 TTL이 만료되었습니다.\r\n'
  const trace = 'traceroute to 192.0.2.1 (192.0.2.1), 2 hops max\n 2  100.64.7.1  0.5 ms\n'
  expect([linux, windows, trace, 'ping: 192.0.2.1: no route', ''].map(hopIn)).toEqual([
    '192.168.1.1',
    '192.168.219.1',
    '100.64.7.1',
    null,
    null,
  ])
})

it('tries what the system has until one tells', async () => {
  const host = fakeHost({
    run: ([command]) => (command === 'traceroute' ? ' 2  192.168.1.1  1 ms\n' : undefined),
  })
  expect(await secondHop(host, AbortSignal.timeout(5000))).toBe('192.168.1.1')
})

it('asks private addresses only, never this LAN’s', () => {
  expect(outerCandidates('192.168.1.1', '192.168.1.2', '192.168.0.1')).toEqual([
    '192.168.1.1',
    '192.168.1.254',
  ])
  expect(outerCandidates('100.64.0.1', null, '192.168.1.1')).not.toContain('192.168.1.254')
  expect(outerCandidates('8.8.8.8', '8.8.8.9', '192.168.0.1')).toEqual([])
})
