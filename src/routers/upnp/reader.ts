/**
 * Reads mappings back with as few questions as the router allows: those that are looked at together are one question
 * where it has a list, and one each where not. A list is believed as long as what it leaves out is really not there.
 */
import { withLimit, systemClock } from '../../base/clock.ts'
import { isNaruError, NaruError } from '../../base/errors.ts'
import type { Protocol } from '../../base/port.ts'
import { orAborted } from '../../base/single-flight.ts'
import type { Mapping, MappingKey } from '../contract.ts'
import type { Device } from './device.ts'
import { faultCode } from './fault.ts'
import { listRange } from './listing.ts'
import { readMapping } from './table.ts'

type Read = Mapping | null | 'unknown'

interface Waiting {
  readonly key: MappingKey
  readonly signal: AbortSignal
  readonly resolve: (read: Read | Promise<Read>) => void
}

/** Those who look at the same moment come within this. */
const gatherMs = 15
const listLimitMs = 5000

export class TableReader {
  readonly #device: Device
  #waiting: Waiting[] = []
  #listed = true

  constructor(device: Device) {
    this.#device = device
  }

  /** True while many are one question. */
  get readsAll(): boolean {
    return this.#listed && this.#device.connection?.version === 2
  }

  /** Null where there is no such mapping. @throws UpnpFault, NaruError ROUTER_SILENT, ROUTER_ANSWER_BAD, ABORTED */
  read(key: MappingKey, signal: AbortSignal): Promise<Read> {
    if (!this.readsAll) return readMapping(this.#device, key, { signal })
    const read = new Promise<Read>((resolve) => {
      this.#waiting.push({ key, signal, resolve })
      if (this.#waiting.length === 1) systemClock.after(gatherMs, () => this.#answer())
    })
    return orAborted(read, signal, 'UPnP')
  }

  #answer(): void {
    const all = this.#waiting
    this.#waiting = []
    for (const protocol of ['tcp', 'udp'] as const) {
      const some = all.filter(({ key }) => key.protocol === protocol)
      const [one, another] = some
      if (one && another) void this.#answerByList(protocol, some)
      else if (one) one.resolve(this.#readOne(one))
    }
  }

  async #answerByList(protocol: Protocol, waiting: readonly Waiting[]): Promise<void> {
    const list = await this.#list(protocol, waiting).catch((failure: unknown) => {
      // Whatever the router does not like about it: one by one it knows how.
      if (faultCode(failure) !== null) this.#listed = false
      return isNaruError(failure, 'ROUTER_SILENT') ? failure : null
    })
    // Who keeps silent is not asked for each of them once more.
    if (list instanceof NaruError) return waiting.forEach(({ resolve }) => resolve(Promise.reject(list)))
    const forAll = list?.filter(({ remoteHost }) => remoteHost === null)
    const found = new Map(forAll?.map((mapping) => [mapping.externalPort, mapping]))
    const missed = waiting.filter(({ key }) => !found.has(key.externalPort))
    for (const { key, resolve } of waiting) {
      const mapping = found.get(key.externalPort)
      if (mapping) resolve(mapping)
    }
    const [first, ...rest] = missed
    if (!first) return
    const read = this.#readOne(first)
    first.resolve(read)
    const really = await read.catch(() => undefined)
    if (list !== null && really !== null) this.#listed = false
    const believed = list !== null && really === null
    for (const one of rest) one.resolve(believed ? null : this.#readOne(one))
  }

  #list(protocol: Protocol, waiting: readonly Waiting[]): Promise<readonly Mapping[]> {
    const ports = waiting.map(({ key }) => key.externalPort)
    const range = { protocol, first: Math.min(...ports), last: Math.max(...ports), everybody: false }
    return listRange(this.#device, range, { signal: withLimit(undefined, listLimitMs) })
  }

  #readOne({ key, signal }: Waiting): Promise<Read> {
    return readMapping(this.#device, key, { signal })
  }
}
