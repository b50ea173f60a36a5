/**
 * Flows that the kernel carries by itself: a program (program.ts) and a map of flows (flows.ts) for each version of IP,
 * one a process, held on the devices that they arrive at. Everything hangs on descriptors, so that nothing is left
 * behind however the process ends. Wants Linux 6.6, CAP_BPF and CAP_NET_ADMIN, and koffi.
 */
import type { Family } from '../../base/address.ts'
import { messageOf } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import { close, Descriptor, EPERM, loadFfi } from '../libc.ts'
import { Calls } from './calls.ts'
import { sizesOf, type Share } from './flows.ts'
import { beatSizes, layouts, sentOnBytes } from './layout.ts'
import { carryFlows, license, name } from './program.ts'
import { loopbackDevice } from './ways.ts'

/** What there is for each version of IP. */
interface Carrier {
  readonly flows: Descriptor
  readonly sentOn: Descriptor
  readonly program: Descriptor
}

/** A flow has two entries. Beyond, flows go the ordinary way. */
const mostEntries = 32_768
const mostOwners = 256

class Refused extends Error {
  readonly why: Text

  constructor(errno: number) {
    super(`bpf: errno ${errno}`)
    this.why =
      errno === EPERM ? say('it needs CAP_BPF and CAP_NET_ADMIN') : say`it needs Linux 6.6 (errno ${errno})`
  }
}

/** The programs and their maps, one of each a process, and what holds them on devices. The main thread's. */
export class Offload {
  static #shared: Offload | null = null
  readonly #calls: Calls
  readonly #carriers: Readonly<Record<Family, Carrier>>
  readonly #beats: Descriptor
  readonly #links = new Map<number, readonly Descriptor[]>()
  #users = 0
  #owners = 0

  private constructor(calls: Calls, carriers: Readonly<Record<Family, Carrier>>, beats: Descriptor) {
    this.#calls = calls
    this.#carriers = carriers
    this.#beats = beats
  }

  /** For each `open` one `close`. @returns why it cannot, where it cannot. */
  static open(): Offload | Text {
    if (process.env.NARU_NO_OFFLOAD) return say('NARU_NO_OFFLOAD is set')
    try {
      const offload = (Offload.#shared ??= Offload.#make())
      offload.#users++
      return offload
    } catch (error) {
      return error instanceof Refused ? error.why : verbatim(messageOf(error))
    }
  }

  static #make(): Offload {
    loadFfi()
    const calls = new Calls()
    const opened: Descriptor[] = []
    const keep = (made: Descriptor | number): Descriptor => {
      if (typeof made === 'number') throw new Refused(-made)
      opened.push(made)
      return made
    }
    try {
      const beats = keep(calls.createMap('array', { ...beatSizes, entries: mostOwners }))
      const carrier = (family: Family): Carrier => {
        const flows = keep(calls.createMap('hash', { ...sizesOf(layouts[family]), entries: mostEntries }))
        const { key } = sizesOf(layouts[family])
        const sentOn = keep(calls.createMap('hash', { key, value: sentOnBytes, entries: mostEntries }))
        const code = carryFlows(family, {
          flows: Descriptor.number(flows),
          sentOn: Descriptor.number(sentOn),
          beats: Descriptor.number(beats),
        })
        return { flows, sentOn, program: keep(calls.loadProgram(code, { name, license })) }
      }
      const carriers = { 4: carrier(4), 6: carrier(6) }
      // Before Linux 6.6 nothing holds it without leaving a trace.
      close(keep(calls.link(carriers[4].program, loopbackDevice)))
      return new Offload(calls, carriers, beats)
    } catch (error) {
      for (const descriptor of opened) close(descriptor)
      throw error
    }
  }

  /** @returns null where there have been too many owners. */
  join(): Share | null {
    if (this.#owners >= mostOwners) return null
    const { 4: four, 6: six } = this.#carriers
    const flows = { 4: Descriptor.number(four.flows), 6: Descriptor.number(six.flows) }
    const sentOn = { 4: Descriptor.number(four.sentOn), 6: Descriptor.number(six.sentOn) }
    const programs = [four, six].map(({ program }) => this.#calls.idOf(program))
    return { flows, sentOn, programs, beats: Descriptor.number(this.#beats), owner: this.#owners++ }
  }

  /** From now on the programs see what arrives at the device. Where one cannot, that goes the ordinary way. */
  hold(device: number): void {
    if (this.#links.has(device)) return
    const links = Object.values(this.#carriers).map(({ program }) => this.#calls.link(program, device))
    const held = links.filter((link) => typeof link !== 'number')
    if (held.length > 0) this.#links.set(device, held)
  }

  close(): void {
    if (--this.#users > 0) return
    Offload.#shared = null
    for (const link of [...this.#links.values()].flat()) close(link)
    for (const { flows, sentOn, program } of Object.values(this.#carriers))
      for (const descriptor of [program, flows, sentOn]) close(descriptor)
    close(this.#beats)
  }
}
