/** Which datagrams of a batch are of one client, by the bytes of their names: no address is written out for it. */
import { familyInet, type Arena } from '../../../linux/libc.ts'
import type { Datagrams } from './datagrams.ts'

export function samePeer(batch: Datagrams, a: number, b: number): boolean {
  const [at, bt] = [batch.nameAt(a), batch.nameAt(b)]
  return sameBytes(batch.arena, at, bt, batch.arena.bytes[at] === familyInet ? 8 : 28)
}

function sameBytes({ bytes }: Arena, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false
  return true
}

/** One number for a client; two clients of one number are told apart by their bytes. */
export function peerKey({ words }: Arena, at: number): number {
  const head = words[at >> 2] as number
  const word = words[(at >> 2) + 1] as number
  if ((head & 0xff) === familyInet) return word * 65_536 + (head >>> 16)
  let hash = head >>> 16
  for (let i = 2; i < 7; i++)
    hash = Math.imul(hash ^ (words[(at >> 2) + i] as number), 0x9e3779b1) ^ (hash >>> 15)
  return 2 ** 48 + (hash >>> 0)
}
