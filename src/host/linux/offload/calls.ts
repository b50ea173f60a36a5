/** bpf(2) as far as flows need it: maps, a program, and links that hold the program on a device while they are open. */
import { Arena, bpf, Descriptor, openBpf } from '../ffi.ts'

/** enum bpf_cmd. */
const command = { create: 0, find: 1, update: 2, load: 5, linkCreate: 28, take: 21 } as const
const mapKind = { hash: 1, array: 2 } as const
/** BPF_PROG_TYPE_SCHED_CLS, and where it is held: BPF_TCX_INGRESS, since Linux 6.6. */
const [classifier, arriving] = [3, 46]

/** What one thread hands over with its calls. */
export class Calls {
  readonly #attributes = Arena.allocate(4096)
  readonly #key = Arena.allocate(4096)
  readonly #value = Arena.allocate(4096)

  get key(): Uint8Array {
    return this.#key.bytes
  }

  get value(): DataView {
    return this.#value.view
  }

  /** @returns its descriptor, or an errno below zero. */
  createMap(
    kind: keyof typeof mapKind,
    sizes: { key: number; value: number; entries: number },
  ): Descriptor | number {
    const words = this.#blank()
    words.set([mapKind[kind], sizes.key, sizes.value, sizes.entries])
    return openBpf(command.create, this.#attributes, attributeBytes)
  }

  /** @returns its descriptor, or an errno below zero: the verifier said no, or we may not. */
  loadProgram(code: Uint8Array, license: string): Descriptor | number {
    const text = Arena.allocate(code.length + 4096)
    text.bytes.set(code)
    text.bytes.set(Buffer.from(`${license}\0`), code.length)
    const words = this.#blank()
    words.set([classifier, code.length / 8])
    Arena.point(this.#attributes, 8, text, 0, code.length)
    Arena.point(this.#attributes, 16, text, code.length, license.length + 1)
    return openBpf(command.load, this.#attributes, attributeBytes)
  }

  /** The program runs on what arrives at the device until the link is closed, by us or with this process. */
  link(program: Descriptor, device: number): Descriptor | number {
    const words = this.#blank()
    words.set([Descriptor.number(program), device, arriving])
    return openBpf(command.linkCreate, this.#attributes, attributeBytes)
  }

  /** Writes `value` at `key`. @returns 0 or an errno below zero. */
  update(map: Descriptor, sizes: { key: number; value: number }): number {
    return this.#onMap(command.update, map, sizes)
  }

  /** Reads into `value` what is at `key`. @returns 0 or an errno below zero. */
  find(map: Descriptor, sizes: { key: number; value: number }): number {
    return this.#onMap(command.find, map, sizes)
  }

  /** As `find`, and it is there no more (of a hash: since Linux 5.14). */
  take(map: Descriptor, sizes: { key: number; value: number }): number {
    return this.#onMap(command.take, map, sizes)
  }

  #onMap(operation: number, map: Descriptor, sizes: { key: number; value: number }): number {
    this.#blank()[0] = Descriptor.number(map)
    Arena.point(this.#attributes, 8, this.#key, 0, sizes.key)
    Arena.point(this.#attributes, 16, this.#value, 0, sizes.value)
    return bpf(operation, this.#attributes, attributeBytes)
  }

  #blank(): Uint32Array {
    return this.#attributes.words.fill(0, 0, attributeBytes / 4)
  }
}

/** As much of union bpf_attr as we fill; the kernel takes what is left out for zeros. */
const attributeBytes = 72
