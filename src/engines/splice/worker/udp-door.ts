/** A session's own way in, once the shared socket is a successor's. */
import { epollEdge, epollIn } from '../../../linux/epoll.ts'
import { close, type Descriptor } from '../../../linux/libc.ts'
import { batchesPerTurn } from './datagrams.ts'
import { Watcher, type Resumable } from './loop.ts'
import type { Thread } from './thread.ts'
import type { Outlet } from './udp-replies.ts'

/** The listener of the shared socket, which knows whose a datagram is. */
interface Shared {
  readonly thread: Thread
  /** @returns whether there may be more */
  takeFrom(socket: Descriptor, hearsMany: boolean): boolean
}

/** A socket that hears one client alone, on the address that the shared one has: the kernel prefers it. */
export class OwnDoor extends Watcher implements Outlet, Resumable {
  readonly #listener: Shared
  readonly socket: Descriptor

  constructor(listener: Shared, socket: Descriptor) {
    super()
    this.#listener = listener
    this.socket = socket
    listener.thread.descriptors.took(1)
    listener.thread.loop.watch(this, socket, epollIn | epollEdge)
  }

  onEvents(): void {
    for (let i = 0; i < batchesPerTurn && !this.socket.closed; i++)
      if (!this.#listener.takeFrom(this.socket, false)) return
    this.#listener.thread.loop.again(this)
  }

  resume(): void {
    if (!this.socket.closed) this.onEvents()
  }

  close(): void {
    this.#listener.thread.answers.flush()
    this.#listener.thread.descriptors.gave(1)
    this.#listener.thread.loop.forget(this)
    close(this.socket)
  }
}
