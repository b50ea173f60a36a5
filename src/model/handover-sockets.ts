/** Listening sockets that pass from one process to the one that takes its place, so that no client meets a closed port. */

export interface LentSocket {
  readonly protocol: 'tcp' | 'udp' | 'unix'
  /** `*` for every address, an address, or a path. */
  readonly address: string
  /** 0 for a path. */
  readonly port: number
  /** Among several on one port. */
  readonly part: number
  readonly fd: number
}

/** What a predecessor leaves. */
export interface Inheritance {
  /** Its socket, closed from then on by who took it; null where there is none. */
  take(socket: Omit<LentSocket, 'fd'>): number | null
  /** Resolves when the predecessor has let go; before, nothing is taken from the sockets' queues. */
  readonly begun: Promise<void>
  readonly sockets: SocketMaker
}

/** The `part` of a socket that only keeps its port from others; who asks for part 0 gets it as one that serves. */
export const heldPart = -1

/** Ports that are kept between two engines of one rule. What nobody took is closed with it. */
export interface Heritage extends Inheritance, Disposable {}

/** What Node's own sockets cannot do. */
export interface SocketMaker {
  /** A UDP socket on the same address as the socket `fd`, which hears `client` alone. @returns its descriptor, or null */
  beside(fd: number, client: { readonly address: string; readonly port: number }): number | null
  /** Node lets others bind beside a UDP socket that it opened by number; this takes that back. */
  unshare(fd: number): void
}
