/**
 * Whether links, addresses or routes are as they were when somebody looked last: rtnetlink(7) tells of each change at once,
 * and a socket that was told nothing costs a microsecond to ask. Starting `ip` stops this thread until the child runs, which
 * on a busy machine is tens of milliseconds.
 */
import { endianness } from 'node:os'
import { native, type Native } from '../../linux/native.ts'

// linux/netlink.h, linux/rtnetlink.h
const [afNetlink, sockRaw, sockCloseOnExec, netlinkRoute, msgDontWait] = [16, 3, 0x8_0000, 0, 0x40]
/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE. */
const groups = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
/** More than a socket's buffer holds; the rest is told next time. */
const mostMessages = 4096

export class NetworkChanges {
  readonly #calls: Native | null
  readonly #fd: number
  #count = 0

  constructor() {
    this.#calls = native()
    this.#fd = this.#calls ? listen(this.#calls) : -1
  }

  /** How many looks were told of changes; the same number means that nothing has changed. Null where nobody tells. */
  look(): number | null {
    if (!this.#calls || this.#fd < 0) return null
    if (wasTold(this.#calls, this.#fd)) this.#count++
    return this.#count
  }
}

/** @returns below zero where the kernel refuses. The descriptor lives as long as the process. */
function listen(calls: Native): number {
  const fd = calls.socket(afNetlink, sockRaw | sockCloseOnExec, netlinkRoute)
  if (fd < 0) return fd
  // struct sockaddr_nl: family, padding, port (the kernel chooses), groups.
  const address = Buffer.alloc(12)
  const view = new DataView(address.buffer, address.byteOffset)
  view.setUint16(0, afNetlink, endianness() === 'LE')
  view.setUint32(8, groups, endianness() === 'LE')
  if (calls.bind(fd, address, address.length) === 0) return fd
  calls.close(fd)
  return -1
}

function wasTold(calls: Native, fd: number): boolean {
  const into = Buffer.allocUnsafe(16)
  let told = false
  // The first failure may be ENOBUFS: more came than the socket holds, and that is still to be read.
  for (let failures = 0, messages = 0; failures < 2 && messages < mostMessages; messages++) {
    if (calls.recv(fd, into, into.length, msgDontWait) < 0) failures++
    else told = true
  }
  return told
}
