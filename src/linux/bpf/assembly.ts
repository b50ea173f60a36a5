/**
 * Writes an eBPF program, instruction by instruction, as the kernel reads it (RFC 9669): eight bytes each, jumps by
 * label. It checks nothing: the kernel's verifier does, before anything runs.
 */

/** r0 is what a call or the program answers, r1 to r5 are a call's arguments and lost by it, r10 is the stack's end. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10

/** RFC 9669 §5.1, table 13: how many bytes a load or a store moves. */
const sizes = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 } as const
export type Size = keyof typeof sizes

/** RFC 9669 §4.1, on 64 bits. */
const arithmetic = {
  add: 0x07,
  subtract: 0x17,
  and: 0x57,
  shiftRight: 0x77,
  xor: 0xa7,
  move: 0xb7,
} as const

/** RFC 9669 §4.3: comparisons are unsigned. */
const conditions = { equal: 0x15, above: 0x25, notEqual: 0x55, below: 0xa5 } as const
const always = 0x05

/** The second operand is a register, and no number. */
const byRegister = 0x08
/** RFC 9669 §5.4: `imm` is the number of a map's descriptor. */
const mapDescriptor = 1

export class Assembly {
  readonly #code: { opcode: number; dst: number; src: number; offset: number; number: number }[] = []
  readonly #labels = new Map<string, number>()
  readonly #jumps: { at: number; label: string }[] = []

  /** `dst = dst … number` */
  calculate(operation: keyof typeof arithmetic, dst: Register, number: number): this {
    return this.#put(arithmetic[operation], dst, 0, 0, number)
  }

  /** `dst = dst … src` */
  calculateBy(operation: keyof typeof arithmetic, dst: Register, src: Register): this {
    return this.#put(arithmetic[operation] | byRegister, dst, src, 0, 0)
  }

  /** The low 16 bits of `dst` as network order has them (RFC 9669 §4.2). */
  swap16(dst: Register): this {
    return this.#put(0xdc, dst, 0, 0, 16)
  }

  /** `dst = *(src + offset)` */
  load(size: Size, dst: Register, src: Register, offset: number): this {
    return this.#put(0x61 | sizes[size], dst, src, offset, 0)
  }

  /** `*(dst + offset) = src` */
  store(size: Size, dst: Register, offset: number, src: Register): this {
    return this.#put(0x63 | sizes[size], dst, src, offset, 0)
  }

  /** `*(dst + offset) = number` */
  storeNumber(size: Size, dst: Register, offset: number, number: number): this {
    return this.#put(0x62 | sizes[size], dst, 0, offset, number)
  }

  /** `*(dst + offset) += src`, eight bytes, whoever else does so at the same time (RFC 9669 §5.3). */
  atomicAdd(dst: Register, offset: number, src: Register): this {
    return this.#put(0xdb, dst, src, offset, 0)
  }

  /** `dst` becomes the map that `descriptor` is open on. */
  map(dst: Register, descriptor: number): this {
    return this.#put(0x18, dst, mapDescriptor, 0, descriptor).#put(0, 0, 0, 0, 0)
  }

  jump(label: string): this {
    return this.#jumpTo(label, always, 0, 0, 0)
  }

  jumpIf(condition: keyof typeof conditions, dst: Register, number: number, label: string): this {
    return this.#jumpTo(label, conditions[condition], dst, 0, number)
  }

  jumpIfBy(condition: keyof typeof conditions, dst: Register, src: Register, label: string): this {
    return this.#jumpTo(label, conditions[condition] | byRegister, dst, src, 0)
  }

  /** Calls a helper of the kernel: r1 to r5 are its arguments, r0 its answer. */
  call(helper: number): this {
    return this.#put(0x85, 0, 0, 0, helper)
  }

  /** Ends the program; r0 is its answer. */
  exit(): this {
    return this.#put(0x95, 0, 0, 0, 0)
  }

  label(name: string): this {
    this.#labels.set(name, this.#code.length)
    return this
  }

  /** @throws where a jump goes nowhere. */
  bytes(): Uint8Array {
    for (const { at, label } of this.#jumps) {
      const to = this.#labels.get(label)
      if (to === undefined) throw new Error(`no label ${label}`)
      this.#code[at]!.offset = to - at - 1
    }
    const view = new DataView(new ArrayBuffer(this.#code.length * 8))
    for (const [index, { opcode, dst, src, offset, number }] of this.#code.entries()) {
      view.setUint8(index * 8, opcode)
      view.setUint8(index * 8 + 1, dst | (src << 4))
      view.setInt16(index * 8 + 2, offset, true)
      view.setInt32(index * 8 + 4, number, true)
    }
    return new Uint8Array(view.buffer)
  }

  #jumpTo(label: string, opcode: number, dst: number, src: number, number: number): this {
    this.#jumps.push({ at: this.#code.length, label })
    return this.#put(opcode, dst, src, 0, number)
  }

  #put(opcode: number, dst: number, src: number, offset: number, number: number): this {
    this.#code.push({ opcode, dst, src, offset, number })
    return this
  }
}
