import { expect, it, vi } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import { Offload } from '../../linux/bpf/offload.ts'
import { parseFlow, type ConntrackFlow } from './flows.ts'
import { FlowOffloading } from './offloading.ts'

const flow = (packets: number): ConntrackFlow =>
  parseFlow(
    `udp 17 119 src=10.1.0.2 dst=10.1.0.1 sport=4000 dport=8888 packets=${packets} bytes=1 src=10.2.0.2 dst=10.1.0.2 sport=53 dport=4000 packets=1 bytes=1 [ASSURED] mark=0 use=1 id=7`,
  ) as ConntrackFlow

it('a connection that was cut while conntrack was asked is not carried', () => {
  const open = vi.spyOn(Offload, 'open').mockReturnValue(say('no', '아니요'))
  const offloading = new FlowOffloading(systemClock)
  offloading.seen([flow(0)], () => true)
  offloading.takeBack([flow(1e9)])
  offloading.seen([flow(1e9)], () => true)
  expect(open).not.toHaveBeenCalled()
  // Another one that is as busy is.
  const other = { ...flow(0), key: 'another' }
  offloading.seen([other], () => true)
  offloading.seen([{ ...other, packetsToTarget: 1e9 }], () => true)
  expect(open).toHaveBeenCalledOnce()
})
