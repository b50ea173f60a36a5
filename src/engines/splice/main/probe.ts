/** Whether this system lets us: tried for real, before a rule is given to the engine. */
import { say, type Text } from '../../../base/text.ts'
import { Epoll, epollIn } from '../../../linux/epoll.ts'
import {
  Arena,
  close,
  loadFfi,
  openWakeup,
  openPipe,
  signalWakeup,
  splice,
  write,
  type Descriptor,
  type PipeEnds,
} from '../../../linux/libc.ts'

/** Tries, for real, what the engine lives on. @returns null, or why it does not work here. */
export function whyFfiCannot(): Text | null {
  try {
    loadFfi()
  } catch (thrown) {
    const why = thrown instanceof Error ? (thrown.message.split('\n')[0] as string) : String(thrown)
    return say`koffi cannot be used: ${why}`
  }
  const failed = failedProbe()
  if (failed === null) return null
  return say`the kernel denies ${failed}`
}

/** Moves one byte through an eventfd, epoll, a pipe and splice. @returns the call that failed, or null. */
function failedProbe(): string | null {
  let wakeup: Descriptor | null = null
  let epoll: Epoll | null = null
  const pipes: PipeEnds[] = []
  try {
    wakeup = openWakeup()
    epoll = new Epoll(1)
    signalWakeup(wakeup)
    if (epoll.add(wakeup, epollIn, 7, 9) !== 0) return 'epoll_ctl'
    if (epoll.wait(0) !== 1 || epoll.slot(0) !== 7 || epoll.generation(0) !== 9) return 'epoll_wait'
    for (let i = 0; i < 2; i++) {
      const pipe = openPipe()
      if (typeof pipe === 'number') return 'pipe2'
      pipes.push(pipe)
    }
    const [from, to] = pipes as [PipeEnds, PipeEnds]
    if (write(from.write, Arena.allocate(1), 0, 1) !== 1) return 'write'
    return splice(from.read, to.write, 1) === 1 ? null : 'splice'
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : 'epoll'
  } finally {
    for (const pipe of pipes) {
      close(pipe.read)
      close(pipe.write)
    }
    epoll?.close()
    if (wakeup) close(wakeup)
  }
}
