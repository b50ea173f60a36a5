/** Tells from the seconds that a gateway counts whether it lost its mappings (RFC 6886 §3.6). */
export class NatPmpEpoch {
  #last: { readonly seconds: number; readonly atMs: number } | null = null

  /**
   * @param atMs monotonic milliseconds. @param announced the gateway has announced that it began anew (§3.2.1), which
   * with an epoch of nearly nothing is believed: one that restarts twice while it boots shows no other sign.
   * @returns true where the gateway restarted since the last answer.
   */
  restarted(seconds: number, atMs: number, announced = false): boolean {
    const last = this.#last
    this.#last = { seconds, atMs }
    if (!last) return false
    if (announced && seconds <= 2) return true
    const elapsed = (atMs - last.atMs) / 1000
    return seconds < last.seconds + (elapsed * 7) / 8 - 2
  }
}
