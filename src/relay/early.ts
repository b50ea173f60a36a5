/** What a client says before it may go on, in one piece. */
export class Early {
  #room = Buffer.alloc(0)
  length = 0

  /** Copied, as it is kept beyond the call. Room doubles, so that many small chunks cost no more than few large ones. */
  add(chunk: Uint8Array): void {
    const whole = this.length + chunk.length
    if (whole > this.#room.length) {
      const wider = Buffer.allocUnsafe(this.length === 0 ? whole : whole * 2)
      this.#room.copy(wider, 0, 0, this.length)
      this.#room = wider
    }
    this.#room.set(chunk, this.length)
    this.length = whole
  }

  get bytes(): Buffer {
    return this.#room.subarray(0, this.length)
  }

  /** Takes the first bytes off. */
  skip(count: number): void {
    this.#room = this.#room.subarray(count, this.length)
    this.length = this.#room.length
  }

  /** All there is; nothing is left. */
  take(): Buffer {
    const { bytes } = this
    this.skip(this.length)
    return bytes
  }
}
