/** Tells from the seconds that a PCP server counts whether it lost its mappings (RFC 6887 §8.5). */
export class PcpEpoch {
  #last: { readonly server: number; readonly client: number } | null = null

  /**
   * @param server seconds, as the server says. @param client our own monotonic seconds. @param announced the server
   * has announced that it began anew (§14.1), which with an epoch of nearly nothing is believed: one that restarts
   * twice while it boots shows no other sign.
   * @returns true where the server restarted since the last answer, or its clock cannot be believed.
   */
  restarted(server: number, client: number, announced = false): boolean {
    const last = this.#last
    this.#last = { server, client }
    if (!last) return false
    if (announced && server <= 2) return true
    // Answers may overtake each other by a second.
    if (server < last.server - 1) return true
    const [clientDelta, serverDelta] = [client - last.client, server - last.server]
    return (
      clientDelta + 2 < serverDelta - serverDelta / 16 || serverDelta + 2 < clientDelta - clientDelta / 16
    )
  }
}
