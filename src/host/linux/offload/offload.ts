/**
 * Flows that the kernel carries by itself: one program (program.ts) and one map of flows (flows.ts) a process, held on
 * the devices that they arrive at. Everything hangs on descriptors, so that nothing is left behind however the process
 * ends. Wants Linux 6.6, CAP_BPF and CAP_NET_ADMIN, and koffi.
 */
import { messageOf } from '../../../base/errors.ts'
import { say, type Text } from '../../../base/text.ts'
import { close, Descriptor, EPERM, loadFfi } from '../ffi.ts'
import { Calls } from './calls.ts'
import type { Share } from './flows.ts'
import { beatSizes, carryFlows, flow, flowSizes, license } from './program.ts'
import { loopbackDevice } from './ways.ts'

/** A flow has two entries. Beyond, flows go the ordinary way. */
const mostEntries = 32_768
const mostOwners = 256

class Refused extends Error {
  readonly why: Text

  constructor(errno: number) {
    super(`bpf: errno ${errno}`)
    this.why =
      errno === EPERM
        ? say('it needs CAP_BPF and CAP_NET_ADMIN', 'CAP_BPF와 CAP_NET_ADMIN 권한이 필요합니다')
        : say(`it needs Linux 6.6 (errno ${errno})`, `리눅스 6.6 이상이 필요합니다(errno ${errno})`)
  }
}

/** The program and its maps, one of each a process, and what holds it on devices. The main thread's. */
export class Offload {
  static #shared: Offload | null = null
  readonly #calls: Calls
  readonly #flows: Descriptor
  readonly #beats: Descriptor
  readonly #program: Descriptor
  readonly #links = new Map<number, Descriptor>()
  #users = 0
  #owners = 0

  private constructor(calls: Calls, flows: Descriptor, beats: Descriptor, program: Descriptor) {
    this.#calls = calls
    this.#flows = flows
    this.#beats = beats
    this.#program = program
  }

  /** For each `open` one `close`. @returns why it cannot, where it cannot. */
  static open(): Offload | Text {
    if (process.env.NARU_NO_OFFLOAD)
      return say('NARU_NO_OFFLOAD is set', 'NARU_NO_OFFLOAD가 설정되어 있습니다')
    try {
      const offload = (Offload.#shared ??= Offload.#make())
      offload.#users++
      return offload
    } catch (error) {
      return error instanceof Refused ? error.why : say(messageOf(error), messageOf(error))
    }
  }

  static #make(): Offload {
    loadFfi()
    const calls = new Calls(flow.bytes)
    const opened: Descriptor[] = []
    const keep = (made: Descriptor | number): Descriptor => {
      if (typeof made === 'number') throw new Refused(-made)
      opened.push(made)
      return made
    }
    try {
      const flows = keep(calls.createMap('hash', { ...flowSizes, entries: mostEntries }))
      const beats = keep(calls.createMap('array', { ...beatSizes, entries: mostOwners }))
      const code = carryFlows(Descriptor.number(flows), Descriptor.number(beats))
      const program = keep(calls.loadProgram(code, license))
      // Before Linux 6.6 nothing holds it without leaving a trace.
      close(keep(calls.link(program, loopbackDevice)))
      return new Offload(calls, flows, beats, program)
    } catch (error) {
      for (const descriptor of opened) close(descriptor)
      throw error
    }
  }

  /** @returns null where there have been too many owners. */
  join(): Share | null {
    if (this.#owners >= mostOwners) return null
    const [flows, beats] = [Descriptor.number(this.#flows), Descriptor.number(this.#beats)]
    return { flows, beats, owner: this.#owners++ }
  }

  /** From now on the program sees what arrives at the device. Where it cannot, that goes the ordinary way. */
  hold(device: number): void {
    if (this.#links.has(device)) return
    const link = this.#calls.link(this.#program, device)
    if (typeof link !== 'number') this.#links.set(device, link)
  }

  close(): void {
    if (--this.#users > 0) return
    Offload.#shared = null
    for (const link of this.#links.values()) close(link)
    for (const descriptor of [this.#program, this.#flows, this.#beats]) close(descriptor)
  }
}
