import { expect, it, vi } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import { Offload } from '../../host/linux/offload/offload.ts'
import { parseFlow, type Flow } from './flows.ts'
import { Offloading } from './offloading.ts'

const flow = (packets: number): Flow =>
  parseFlow(
    `udp 17 119 src=10.1.0.2 dst=10.1.0.1 sport=4000 dport=8888 packets=${packets} bytes=1 src=10.2.0.2 dst=10.1.0.2 sport=53 dport=4000 packets=1 bytes=1 [ASSURED] mark=0 use=1 id=7`,
  ) as Flow

it('a connection that is cut while it is asked who filters is not carried', async () => {
  const open = vi.spyOn(Offload, 'open').mockReturnValue(say('no', '아니요'))
  let answer = (_filters: boolean): void => {}
  const offloading = new Offloading(systemClock, () => new Promise((resolve) => (answer = resolve)))
  await offloading.seen([flow(0)], () => true)
  const looking = offloading.seen([flow(1e9)], () => true)
  offloading.takeBack([flow(1e9)])
  answer(false)
  await looking
  expect(open).not.toHaveBeenCalled()
  // Another one that is as busy is.
  const other = { ...flow(0), key: 'another' }
  await offloading.seen([other], () => true)
  await offloading.seen([{ ...other, packetsToTarget: 1e9 }], () => true)
  expect(open).toHaveBeenCalledOnce()
})
