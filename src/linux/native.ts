/**
 * The few system calls that Node has no door to, by koffi, which is optional: a netlink socket's, `getsockopt`, and `readlinkat`,
 * which reads a link of an open folder in two thirds of `readlinkSync`'s time. Failed calls are below zero.
 */
import { requireOwn } from './own-package.ts'

type Call<Args extends unknown[]> = (...args: Args) => number

export interface Native {
  socket: Call<[family: number, type: number, protocol: number]>
  bind: Call<[fd: number, address: Uint8Array, length: number]>
  send: Call<[fd: number, from: Uint8Array, length: number, flags: number]>
  recv: Call<[fd: number, into: Uint8Array, length: number, flags: number]>
  readlinkat: Call<[folder: number, name: string, into: Uint8Array, length: number]>
  getsockopt: Call<[fd: number, level: number, option: number, into: Uint8Array, length: Uint8Array]>
  close: Call<[fd: number]>
}

const prototypes: { readonly [Name in keyof Native]: string } = {
  socket: 'int socket(int family, int type, int protocol)',
  bind: 'int bind(int fd, const void *address, unsigned int length)',
  send: 'int64_t send(int fd, const void *from, int64_t length, int flags)',
  recv: 'int64_t recv(int fd, void *into, int64_t length, int flags)',
  readlinkat: 'int64_t readlinkat(int folder, const char *name, void *into, int64_t length)',
  getsockopt: 'int getsockopt(int fd, int level, int option, void *into, void *length)',
  close: 'int close(int fd)',
}

interface Koffi {
  load(path: null): { func(prototype: string): unknown }
}

let loaded: Native | null | undefined

/** Null where koffi is not installed or not wanted (NARU_NO_KOFFI). */
export function native(): Native | null {
  return (loaded ??= load())
}

function load(): Native | null {
  if (process.platform !== 'linux' || process.env.NARU_NO_KOFFI) return null
  try {
    const koffi = requireOwn('koffi', import.meta.url) as Koffi
    const library = koffi.load(null)
    const calls = Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)])
    return Object.fromEntries(calls) as Native
  } catch {
    return null
  }
}
