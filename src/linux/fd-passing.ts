/**
 * Descriptors on their way from one process to the one that takes its place: over a Unix socket that the taker opens
 * in a folder only its user can enter, in the order they were listed, as many as there are.
 */
import { rm } from 'node:fs/promises'
import { systemClock, withLimit } from '../base/clock.ts'
import {
  accept,
  Arena,
  bind,
  close,
  connect,
  Descriptor,
  EAGAIN,
  familyUnix,
  listen,
  loadFfi,
  openSocket,
  send,
  processAtPeer,
  userAtPeer,
} from './libc.ts'
import { mostRights, receiveDescriptors, sendDescriptors } from './scm-rights.ts'
import { sockaddrOfPath } from './sockaddr-fields.ts'

/** How soon a socket that had nothing, or no room, is asked again. */
const againMs = 2
const limitMs = 30_000
/** Too many descriptors are on their way at once (unix(7)): the taker makes room. */
const ETOOMANYREFS = 109

/** @throws Error with the call that failed; the descriptors stay this process's either way */
export async function sendTo(
  path: string,
  fds: readonly number[],
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const limited = withLimit(signal, limitMs)
  loadFfi()
  const socket = opened(openSocket(familyUnix, 'packets'))
  try {
    await patiently('connect', limited, () => connect(socket, sockaddrOfPath(path)))
    mustBeOurs(socket)
    for (let at = 0; at < fds.length; at += mostRights) {
      const some = fds.slice(at, at + mostRights).map((fd) => Descriptor.borrow(fd))
      await patiently('sendmsg', limited, () => sendDescriptors(socket, some))
    }
  } finally {
    close(socket)
  }
}

/** @param path of a Unix socket that takes datagrams; `@` begins an abstract name (unix(7)). @throws Error with the call that failed */
export function sendDatagramTo(path: string, text: string): void {
  loadFfi()
  const bytes = Buffer.from(text)
  const arena = Arena.allocate(bytes.length)
  arena.bytes.set(bytes)
  const socket = opened(openSocket(familyUnix, 'datagram'))
  try {
    const name = sockaddrOfPath(path)
    const abstract = path.startsWith('@')
    if (abstract) name[2] = 0
    done('connect', connect(socket, abstract ? name.subarray(0, -1) : name))
    done('send', send(socket, arena, 0, bytes.length))
  } finally {
    close(socket)
  }
}

/** Where descriptors come in. */
export class DescriptorIntake implements AsyncDisposable {
  readonly #path: string
  readonly #door: Descriptor

  private constructor(path: string, door: Descriptor) {
    this.#path = path
    this.#door = door
  }

  static async open(path: string): Promise<DescriptorIntake> {
    loadFfi()
    await rm(path, { force: true })
    const door = opened(openSocket(familyUnix, 'packets'))
    done('bind', bind(door, sockaddrOfPath(path)))
    done('listen', listen(door, 1))
    return new DescriptorIntake(path, door)
  }

  /** @returns `count` descriptors that are this process's now. @throws Error where fewer come */
  async take(count: number, { signal }: { signal: AbortSignal }): Promise<readonly number[]> {
    const limited = withLimit(signal, limitMs)
    const taken: Descriptor[] = []
    const from = opened(await patiently('accept', limited, () => accept(this.#door)))
    try {
      mustBeOurs(from)
      while (taken.length < count) {
        const some = await patiently('recvmsg', limited, () => receiveDescriptors(from))
        if (typeof some === 'number' || some.length === 0) throw new Error(`${count} sockets were announced`)
        taken.push(...some)
      }
      return taken.map((descriptor) => Descriptor.release(descriptor))
    } catch (error) {
      for (const descriptor of taken) close(descriptor)
      throw error
    } finally {
      close(from)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    close(this.#door)
    await rm(this.#path, { force: true })
  }
}

/** @param fd of a connected Unix socket. @throws Error where neither this user nor root is at its other end */
export function mustBeOurUser(fd: number): void {
  loadFfi()
  mustBeOurs(Descriptor.borrow(fd))
}

/** @param fd of a connected Unix socket. @returns who is at its other end, as it is counted here; null where that cannot be told */
export function pidAtPeer(fd: number): number | null {
  const pid = processAtPeer(Descriptor.borrow(fd))
  return pid > 0 ? pid : null
}

function mustBeOurs(socket: Descriptor): void {
  const user = done('getsockopt', userAtPeer(socket))
  if (user !== 0 && user !== process.getuid?.())
    throw new Error(`the process at the other end is of another user (uid ${user})`)
}

/** Asks again while the other side is not ready. */
async function patiently<T>(what: string, signal: AbortSignal, ask: () => T): Promise<T> {
  for (;;) {
    const result = ask()
    if (result !== -EAGAIN && result !== -ETOOMANYREFS) return done(what, result)
    await systemClock.sleep(againMs, signal)
  }
}

function done<T>(what: string, result: T): T {
  if (typeof result === 'number' && result < 0) throw new Error(`${what}: errno ${-result}`)
  return result
}

function opened(result: Descriptor | number): Descriptor {
  if (typeof result === 'number') throw new Error(`socket: errno ${-result}`)
  return result
}
