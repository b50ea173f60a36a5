/** Descriptors that pass from one process to another: a message on a Unix socket with SCM_RIGHTS (unix(7)). */
import { Arena, close, Descriptor, EINVAL, EPROTO, receiveMessage, sendMessage } from './libc.ts'

/** Most descriptors in one message; the kernel takes 253 (SCM_MAX_FD). */
export const mostRights = 200
const noneLeft = 0
const at = { vector: 64, data: 80, control: 128 }
const mostControlBytes = 16 + mostRights * 4
/** struct msghdr, in words. */
const header = { vector: 4, vectorCount: 6, control: 8, controlLength: 10, flags: 12 }
const [levelSocket, scmRights] = [1, 1]
const controlCut = 0x8
let rightsArena: Arena | null = null

/** One byte of data, as Linux sends no rights without any (unix(7)), and room for the control message. */
function rightsMessage(controlLength: number): Arena {
  rightsArena ??= Arena.allocate(4096)
  const arena = rightsArena
  arena.bytes.fill(0, 0, at.control)
  Arena.point(arena, header.vector * 4, arena, at.vector, 16)
  arena.words[header.vectorCount] = 1
  Arena.point(arena, at.vector, arena, at.data, 1)
  arena.words[(at.vector >> 2) + 2] = 1
  Arena.point(arena, header.control * 4, arena, at.control, mostControlBytes)
  arena.words[header.controlLength] = controlLength
  return arena
}

/**
 * Gives the other end of a Unix socket copies of these descriptors (SCM_RIGHTS); ours stay ours. A closed one is
 * refused here, so that whoever has its number by now is never given away.
 * @returns 0 or an errno below zero
 */
export function sendDescriptors(socket: Descriptor, descriptors: readonly Descriptor[]): number {
  if (descriptors.length === 0 || descriptors.length > mostRights || descriptors.some(({ closed }) => closed))
    return -EINVAL
  const length = 16 + descriptors.length * 4
  const message = rightsMessage(length)
  const numbers = descriptors.map((descriptor) => Descriptor.number(descriptor))
  message.words.set([length, 0, levelSocket, scmRights, ...numbers], at.control >> 2)
  return Math.min(0, sendMessage(socket, message))
}

/** Descriptors of one message, ours from now on; none at the end of the stream; or an errno below zero. */
export function receiveDescriptors(socket: Descriptor): readonly Descriptor[] | number {
  const message = rightsMessage(mostControlBytes)
  const { words } = message
  const received = receiveMessage(socket, message)
  if (received < 0) return received
  if (received === noneLeft) return []
  const control = at.control >> 2
  const [bytes = 0, , level, type] = words.subarray(control, control + 4)
  const there = (words[header.controlLength] as number) >= 16
  const ours = there && level === levelSocket && type === scmRights && bytes <= mostControlBytes
  const numbers = ours ? [...words.subarray(control + 4, control + (bytes >> 2))] : []
  const got = numbers.map((fd) => Descriptor.adopt(fd))
  if (got.length > 0 && !((words[header.flags] as number) & controlCut)) return got
  for (const descriptor of got) close(descriptor)
  return -EPROTO
}
