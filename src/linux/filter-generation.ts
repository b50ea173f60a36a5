/**
 * Which change of the packet filter was the last. nftables counts each that is committed, whoever made it (nft, iptables
 * over nftables, ufw, firewalld): while the number is the same so are the rules. It does not count what packets put into
 * sets, and what times out there. Asked by NFT_MSG_GETGEN (include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h), which
 * takes four system calls and no process.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { Arena, close, loadFfi, openSocket, receive, send } from './libc.ts'

const familyNetlink = 16
const netlinkNetfilter = 12
const [getGeneration, newGeneration] = [0x0a10, 0x0a0f]
const isRequest = 1
/** struct nlmsghdr and struct nfgenmsg. */
const headBytes = 20
/** NFTA_GEN_ID: 32 bits in network order, the first attribute of the answer. */
const generationId = 1
const roomBytes = 256

let room: Arena | null = null

/**
 * Of this process's network namespace. Null where nobody tells: without CAP_NET_ADMIN, nftables or koffi, and where legacy
 * iptables has tables, which it changes without a word.
 */
export function filterGeneration(): string | null {
  try {
    if (legacyTables() !== '') return null
    loadFfi()
  } catch {
    // Not for us to read, or no koffi here: whoever asks reads the rules each time.
    return null
  }
  const generation = ask()
  return generation === null ? null : `${readlinkSync('/proc/thread-self/ns/net')} ${generation}`
}

function legacyTables(): string {
  return ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'].map(textOf).join('').trim()
}

/** @throws Error where it is there and not for us */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

function ask(): number | null {
  const socket = openSocket(familyNetlink, 'datagram', netlinkNetfilter)
  if (typeof socket === 'number') return null
  try {
    room ??= Arena.allocate(roomBytes)
    // Netlink is in this machine's own order, which is little-endian wherever koffi's layouts are known.
    room.words.set([headBytes, getGeneration | (isRequest << 16), 0, 0, 0])
    if (send(socket, room, 0, headBytes) !== headBytes) return null
    return generationIn(room, receive(socket, room, 0, roomBytes))
  } finally {
    close(socket)
  }
}

function generationIn({ view }: Arena, length: number): number | null {
  if (length < headBytes + 8 || view.getUint16(4, true) !== newGeneration) return null
  if (view.getUint16(headBytes + 2, true) !== generationId) return null
  return view.getUint32(headBytes + 4)
}
