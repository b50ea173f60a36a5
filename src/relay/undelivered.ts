/**
 * What an error of a UDP socket says. Some speak of the target (nobody there, no way there); the others of this one
 * datagram or of this machine, and hold nothing against the target: too large (EMSGSIZE), buffers full, a filter of
 * ours (EPERM), no port or address to send from (EADDRNOTAVAIL).
 */
export const targetsFault: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOPROTOOPT',
  'EPROTO',
  'EACCES',
  'EINVAL',
])

/** RFC 768: the length field holds 65,535; IPv4 has its own header within the same 65,535. */
export function largestDatagram(family: 4 | 6): number {
  return family === 6 ? 65_527 : 65_507
}
