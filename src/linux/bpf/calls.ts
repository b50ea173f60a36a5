/** bpf(2) as far as flows need it: maps, a program, and links that hold the program on a device while they are open. */
import { Arena, bpf, close, Descriptor, EAGAIN, openBpf } from '../libc.ts'

/** enum bpf_cmd. */
const command = {
  create: 0,
  find: 1,
  update: 2,
  load: 5,
  open: 13,
  info: 15,
  query: 16,
  linkCreate: 28,
  take: 21,
} as const
const mapKind = { hash: 1, array: 2 } as const
/** BPF_PROG_TYPE_SCHED_CLS, and where it is held: BPF_TCX_INGRESS, since Linux 6.6. */
const [classifier, arriving] = [3, 46]
/** BPF_CGROUP_INET_INGRESS and _EGRESS, and BPF_F_QUERY_EFFECTIVE: of all above it too. */
const [toSockets, fromSockets, effective] = [0, 1, 1]
const mostAsked = 64
/** As many as libbpf makes (PROG_LOAD_ATTEMPTS), twice. */
const mostTries = 10

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
  loadProgram(code: Uint8Array, { name, license }: { name: string; license: string }): Descriptor | number {
    const text = Arena.allocate(code.length + 4096)
    text.bytes.set(code)
    text.bytes.set(Buffer.from(`${license}\0`), code.length)
    const words = this.#blank()
    words.set([classifier, code.length / 8])
    Arena.point(this.#attributes, 8, text, 0, code.length)
    Arena.point(this.#attributes, 16, text, code.length, license.length + 1)
    this.#attributes.bytes.set(Buffer.from(name).subarray(0, nameBytes - 1), nameAt.load)
    let loaded = openBpf(command.load, this.#attributes, attributeBytes)
    // The verifier gives up where a signal comes meanwhile, such as a child's end (bpf_check in kernel/bpf/verifier.c).
    for (let tries = 1; loaded === -EAGAIN && tries < mostTries; tries++)
      loaded = openBpf(command.load, this.#attributes, attributeBytes)
    return loaded
  }

  /** The program runs on what arrives at the device until the link is closed, by us or with this process. */
  link(program: Descriptor, device: number): Descriptor | number {
    const words = this.#blank()
    words.set([Descriptor.number(program), device, arriving])
    return openBpf(command.linkCreate, this.#attributes, attributeBytes)
  }

  /** @returns the number that everybody knows it by, or an errno below zero. */
  idOf(program: Descriptor): number {
    const error = this.#inform(program)
    return error < 0 ? error : (this.#value.words[1] as number)
  }

  /** The name that a program of this number was loaded with; null where it is not told: that wants CAP_SYS_ADMIN. */
  nameOf(id: number): string | null {
    this.#blank()[0] = id
    const program = openBpf(command.open, this.#attributes, attributeBytes)
    if (typeof program === 'number') return null
    const error = this.#inform(program)
    close(program)
    const name = this.#value.bytes.subarray(nameAt.info, nameAt.info + nameBytes)
    return error < 0 ? null : Buffer.from(name).toString('latin1').replace(/\0.*$/s, '')
  }

  #inform(program: Descriptor): number {
    const words = this.#blank()
    words.set([Descriptor.number(program), infoBytes])
    Arena.point(this.#attributes, 8, this.#value, 0, infoBytes)
    this.#value.words.fill(0, 0, infoBytes / 4)
    return bpf(command.info, this.#attributes, attributeBytes)
  }

  /** Programs that run on what arrives at the device, in their order; or an errno below zero. */
  onDevice(device: number): readonly number[] | number {
    return this.#query(device, arriving, 0)
  }

  /** Programs that run on what sockets of the group send and receive; or an errno below zero. */
  onGroup(group: Descriptor): readonly number[] | number {
    const sent = this.#query(Descriptor.number(group), fromSockets, effective)
    const received = this.#query(Descriptor.number(group), toSockets, effective)
    if (typeof sent === 'number') return sent
    return typeof received === 'number' ? received : [...sent, ...received]
  }

  #query(target: number, where: number, flags: number): readonly number[] | number {
    const words = this.#blank()
    words.set([target, where, flags])
    Arena.point(this.#attributes, 16, this.#value, 0, mostAsked * 4)
    words[6] = mostAsked
    const error = bpf(command.query, this.#attributes, attributeBytes)
    return error < 0 ? error : [...this.#value.words.subarray(0, this.#attributes.words[6])]
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
/** Of struct bpf_prog_info: up to its name, where that lies, and where it is told to `load` (BPF_OBJ_NAME_LEN). */
const infoBytes = 80
const nameAt = { load: 48, info: 64 } as const
const nameBytes = 16
