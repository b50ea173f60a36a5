/** Tells from the seconds that a gateway counts whether it lost its mappings (RFC 6886 §3.6). */
export class Epoch {
  #last: { readonly seconds: number; readonly atMs: number } | null = null

  /** @param atMs monotonic milliseconds. @returns true where the gateway restarted since the last answer. */
  restarted(seconds: number, atMs: number): boolean {
    const last = this.#last
    this.#last = { seconds, atMs }
    if (!last) return false
    const elapsed = (atMs - last.atMs) / 1000
    return seconds < last.seconds + (elapsed * 7) / 8 - 2
  }
}
