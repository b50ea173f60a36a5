/** What macOS's `lsof -F`, `route -n get` and `arp -an` print. They are not translated. */
import { canonicalAddress, type Family } from '../../base/address.ts'
import type { Interface, Route, SocketEntry } from '../contract.ts'

/**
 * `lsof -nP -iTCP -iUDP -F pcfntPT`: a line a field, its first letter says which. `p` begins a process, `f` a file
 * of it; `t` is IPv4 or IPv6, `P` the protocol, `n` the name `127.0.0.1:80->10.0.0.2:5000`, `TST=` the state.
 */
export function parseLsof(text: string): SocketEntry[] {
  const sockets: SocketEntry[] = []
  let process = { pid: 0, name: '' }
  let file: Record<string, string> = {}
  const flush = (): void => {
    const socket = toSocket(file, process)
    if (socket) sockets.push(socket)
    file = {}
  }
  for (const line of text.split('\n')) {
    const [letter, value] = [line[0], line.slice(1)]
    if (letter === 'p' || letter === 'f') flush()
    if (letter === 'p') process = { pid: Number(value), name: '' }
    else if (letter === 'c') process = { ...process, name: value }
    else if (letter === 'T') {
      if (value.startsWith('ST=')) file['state'] = value.slice(3)
    } else if (letter) file[letter] = value
  }
  flush()
  return sockets
}

function toSocket(file: Record<string, string>, process: { pid: number; name: string }): SocketEntry | null {
  const protocol = file['P'] === 'TCP' ? 'tcp' : file['P'] === 'UDP' ? 'udp' : null
  const family = file['t'] === 'IPv6' ? 6 : 4
  const [local = '', remote] = (file['n'] ?? '').split('->')
  const here = endpoint(local, family)
  if (!protocol || !here) return null
  const peer = remote ? endpoint(remote, family) : null
  return {
    protocol,
    family,
    address: here.address,
    port: here.port,
    peer,
    state: stateOf(file['state'], protocol, peer !== null),
    // lsof shows a dual-stack listener as one IPv6 `*`, and does not tell whether it takes IPv4.
    v6only: null,
    process,
  }
}

function stateOf(word: string | undefined, protocol: string, hasPeer: boolean): SocketEntry['state'] {
  if (protocol === 'udp') return hasPeer ? 'established' : 'listening'
  if (word === 'LISTEN') return 'listening'
  if (word === 'ESTABLISHED') return 'established'
  return word === 'SYN_RCVD' || word === 'SYN_RECEIVED' ? 'syn-received' : 'other'
}

/** `*:80`, `127.0.0.1:80`, `[::1]:80`; `*:*` is a UDP socket that has no port yet. */
function endpoint(text: string, family: Family): { address: string; port: number } | null {
  const match = /^(\*|\[[^\]]+\]|[\d.]+):(\d{1,5})$/.exec(text)
  if (!match) return null
  const written = (match[1] as string).replace(/^\[|\]$/g, '')
  if (written === '*') return { address: family === 6 ? '::' : '0.0.0.0', port: Number(match[2]) }
  return canonicalAddress(written.split('%')[0] as string) === null
    ? null
    : { address: written, port: Number(match[2]) }
}

/** `route -n get [-inet6] …`; null for "not in table". */
export function parseRouteGet(text: string, family: Family): Route | null {
  const name = /^[ \t]*interface:[ \t]*(\S+)/m.exec(text)?.[1]
  if (!name) return null
  const gateway = /^[ \t]*gateway:[ \t]*(\S+)/m.exec(text)?.[1] ?? ''
  const known = canonicalAddress(gateway.split('%')[0] as string) !== null
  return { family, interface: name, gateway: known ? gateway : null, source: null, metric: 0 }
}

/** `? (192.168.1.1) at 0:1f:c4:ef:5d:f1 on en0 ifscope [ethernet]`: bytes are written without a leading zero. */
export function parseArp(text: string): { address: string; mac: string; interface: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, address = '', mac = '', name = ''] = /\(([\d.]+)\) at ([0-9a-f:]+) on (\S+)/i.exec(line) ?? []
    if (canonicalAddress(address) === null || mac.split(':').length !== 6) return []
    const bytes = mac.split(':').map((byte) => byte.padStart(2, '0').toLowerCase())
    return /^(ff|01)$/.test(bytes[0] as string) ? [] : [{ address, mac: bytes.join(':'), interface: name }]
  })
}

/** `networksetup -listallhardwareports`: the devices under `Hardware Port: Wi-Fi`. */
export function parseWifiDevices(text: string): string[] {
  return [...text.matchAll(/^Hardware Port: (?:Wi-Fi|AirPort)\nDevice: (\S+)/gm)].map(
    ([, device = '']) => device,
  )
}

export function kindOfDevice(name: string, wifi: readonly string[]): Interface['kind'] {
  if (/^lo\d/.test(name)) return 'loopback'
  if (/^(utun|ipsec|ppp|tun|tap|gif|stf)/.test(name)) return 'vpn'
  if (/^(vmnet|vboxnet|bridge1\d\d|vmenet|feth|vnic)/.test(name)) return 'vm'
  if (wifi.includes(name)) return 'wifi'
  return /^en\d/.test(name) || /^bridge\d/.test(name) ? 'ethernet' : 'other'
}
