/**
 * Guests of a plain QEMU, through its QMP socket. On QEMU's own NAT (user networking) nothing reaches the guest without
 * a forward, which this member adds and removes while the guest runs; on a tap the guest is dialled at the address
 * that this machine's neighbours or a DHCP server's leases show for its network card.
 */
import { readFile } from 'node:fs/promises'
import { isNaruError, NaruError } from '../../base/errors.ts'
import { shellWord } from '../../base/shell.ts'
import { say, verbatim } from '../../base/text.ts'
import { formatEndpoint } from '../../base/address.ts'
import type { Neighbour } from '../../host/contract.ts'
import type { Json } from '../../model/hop.ts'
import type { Guest, GuestMember, GuestOptions } from '../contract.ts'
import {
  guestOfForward,
  openForwards,
  undoForward,
  type Forward,
  type ForwardTable,
} from '../shared/forwards.ts'
import { answered, changeMs } from '../shared/patience.ts'
import { pickGuest, stopped } from '../shared/pick.ts'
import { findQemu, instanceOf, type FindOptions, type QemuProcess } from './find.ts'
import { parseNetwork, parseUserNet, type QemuNic, type UserForward } from './monitor.ts'
import { withQmp, type Qmp } from './qmp.ts'

export interface QemuOptions extends FindOptions {
  /** Files of dnsmasq's leases. @default where libvirt's bridge and Debian's dnsmasq keep theirs */
  readonly leaseFiles?: readonly string[]
}

/** A guest that moves is found again after this long. */
const ttlMs = 5000
const kind = 'qemu'

// oxlint-disable-next-line max-lines-per-function -- the member’s contract, answer by answer
export function qemu(options: QemuOptions = {}): GuestMember {
  const leaseFiles = options.leaseFiles ?? [
    '/var/lib/misc/dnsmasq.leases',
    '/var/lib/libvirt/dnsmasq/virbr0.leases',
  ]

  const heard: Heard = new Map()

  async function meant(name: string, signal: AbortSignal): Promise<Seen & { qmp: string }> {
    const named = await nameAll((await findQemu(options)).guests, signal)
    const process = pickGuest(kind, named.map(unseen), name)
    const found = named.find(({ id }) => id === process.id) as QemuProcess
    if (found.qmp === null) throw withoutQmp(process)
    return { ...(await look(found, signal)), qmp: found.qmp }
  }

  async function running(name: string, signal: AbortSignal): Promise<Seen & { qmp: string }> {
    const seen = await meant(name, signal)
    if (seen.guest.state !== 'running') throw stopped(seen.guest, continueCommand(seen.qmp))
    return seen
  }

  return {
    kind,
    async detect() {
      const { guests, others } = await findQemu(options)
      const spoken = guests.filter(({ qmp }) => qmp !== null).length
      if (spoken > 0) return { ok: true, why: say`${spoken} with a QMP socket` }
      if (guests.length > 0)
        return {
          ok: false,
          why: say('QEMU runs without a QMP socket, or with one that others could replace'),
        }
      return others > 0
        ? {
            ok: false,
            why: say`${others} of other users: name their sockets in NARU_QEMU_QMP to use them`,
          }
        : { ok: false, why: say('no QEMU runs here') }
    },

    async list({ signal, host }) {
      const seen = await Promise.all(
        (await nameAll((await findQemu(options)).guests, signal)).map((process) =>
          lookOrName(process, signal),
        ),
      )
      return Promise.all(
        seen.map(async ({ guest, nics }) => ({
          ...guest,
          addresses: await addressesOf(nics, { leaseFiles, heard, host, signal }),
        })),
      )
    },

    async resolve(name, { signal, host }) {
      const { guest, nics } = await running(name, signal)
      const addresses = await addressesOf(nics, { leaseFiles, heard, host, signal })
      if (addresses.length === 0) throw noAddress(guest, nics)
      return { addresses, ttlMs }
    },

    async reach(name, { signal }) {
      const { nics } = await meant(name, signal)
      return nics.some(isOnHostNetwork) ? 'direct' : 'nat'
    },

    async open(request, { signal, record, host }) {
      const { guest, nics } = await running(request.name, signal)
      if (!nics.some(({ type }) => type === 'user')) throw onlyDirect(guest)
      const table = forwardsOf(request.name, running, host)
      return openForwards({ kind, table, request, record, signal })
    },

    async undo(effect: Json, { signal, host }) {
      const name = guestOfForward(effect)
      if (name !== null) await undoForward(forwardsOf(name, meant, host), effect, signal)
    },
  }
}

type Find = (name: string, signal: AbortSignal) => Promise<Seen & { qmp: string }>

function continueCommand(qmp: string): string {
  return `printf '{"execute":"qmp_capabilities"}{"execute":"cont"}' | socat - ${shellWord(`UNIX:${qmp}`)}`
}

/** QEMU keeps no names with its forwards: whose one is stands in the journal, with the instance it lives in. */
function forwardsOf(name: string, find: Find, { sockets }: GuestOptions['host']): ForwardTable {
  const change = async (qmp: string, line: string, signal: AbortSignal): Promise<string> =>
    answered((limit) => withQmp(qmp, limit, (monitor) => monitor.monitor(line)), {
      kind,
      where: whereOf(name, qmp),
      signal,
      ms: changeMs,
    })
  return {
    async list(signal) {
      return (await find(name, signal)).forwards.map((forward) => ({ ...forward, tag: null }))
    },
    async add(forward, _tag, signal) {
      const { qmp, nics } = await find(name, signal)
      const netdev = nics.find(({ type }) => type === 'user')?.netdev as string
      const answer = (
        await change(qmp, `hostfwd_add ${netdev} ${ruleText(forward)}-:${forward.guestPort}`, signal)
      ).trim()
      if (answer === '') return
      const { protocol, hostPort, hostAddress } = forward
      const owner = await sockets.owner(protocol, hostPort, { signal })
      if (owner === null || !answer.startsWith('Could not set up'))
        throw new NaruError('GUEST_REFUSED', {
          kind,
          what: `hostfwd_add ${ruleText(forward)}`,
          why: verbatim(answer),
        })
      const port = formatEndpoint(hostAddress ?? '0.0.0.0', hostPort)
      throw new NaruError('GUEST_FORWARD_TAKEN', { kind, name, port, owner })
    },
    async remove(forward, signal) {
      const { qmp, forwards } = await find(name, signal)
      const netdev = (forwards.find((other) => isSame(other, forward)) ?? { netdev: 'n0' }).netdev
      const answer = (await change(qmp, `hostfwd_remove ${netdev} ${ruleText(forward)}`, signal)).trim()
      if (/ (removed|not found)$/.test(answer)) return
      throw new NaruError('GUEST_REFUSED', {
        kind,
        what: `hostfwd_remove ${ruleText(forward)}`,
        why: verbatim(answer),
      })
    },
    async instance(signal) {
      return instanceOf((await find(name, signal)).qmp)
    },
  }
}

function isSame(a: Forward, b: Forward): boolean {
  return a.protocol === b.protocol && a.hostPort === b.hostPort && a.hostAddress === b.hostAddress
}

/** `tcp:127.0.0.1:8888`; without an address QEMU listens on every IPv4 one. */
function ruleText({ protocol, hostAddress, hostPort }: Forward): string {
  return `${protocol}:${hostAddress ?? ''}:${hostPort}`
}

interface Seen {
  readonly guest: Guest
  readonly nics: readonly QemuNic[]
  readonly forwards: readonly UserForward[]
}

/** A guest of which only the socket is known is asked for its name; one that is silent goes by its socket. */
async function nameAll(found: readonly QemuProcess[], signal: AbortSignal): Promise<readonly QemuProcess[]> {
  const ask = async (process: QemuProcess): Promise<QemuProcess> => {
    if (process.name !== null || process.qmp === null) return process
    try {
      const name = await answered((limit) => withQmp(process.qmp as string, limit, nameOf), {
        kind,
        where: process.qmp,
        signal,
      })
      return { ...process, name }
    } catch (error) {
      if (!(error instanceof NaruError)) throw error
      return process
    }
  }
  return Promise.all(found.map(ask))
}

async function nameOf(qmp: Qmp): Promise<string | null> {
  const answer = (await qmp.command('query-name')) as { name?: unknown }
  return typeof answer.name === 'string' ? answer.name : null
}

/** @throws NaruError GUEST_SILENT, GUEST_NOT_HERE, GUEST_UNREADABLE, NOT_PERMITTED */
async function look(process: QemuProcess, signal: AbortSignal): Promise<Seen> {
  const path = process.qmp as string
  const ask = async (qmp: Qmp): Promise<Seen> => {
    const status = (await qmp.command('query-status')) as { running?: unknown }
    const nics = parseNetwork(await qmp.monitor('info network'))
    // Without a user network, older versions answer with a complaint, in which there is no forward.
    const forwards = parseUserNet(await qmp.monitor('info usernet'))
    const guest = { ...unseen(process), state: status.running === true ? 'running' : 'paused' } as const
    return {
      guest: { ...guest, forwards: forwards.map((forward) => ({ ...forward, ours: false })) },
      nics,
      forwards,
    }
  }
  return answered((limit) => withQmp(path, limit, ask), { kind, where: whereOf(process.name, path), signal })
}

function whereOf(name: string | null, qmp: string): string {
  return name === null ? qmp : `${name}, ${qmp}`
}

/** For a list, a guest that does not answer is one whose state is unknown. */
async function lookOrName(process: QemuProcess, signal: AbortSignal): Promise<Seen> {
  try {
    if (process.qmp !== null) return await look(process, signal)
  } catch (error) {
    if (!isNaruError(error) || signal.aborted) throw error
  }
  return { guest: unseen(process), nics: [], forwards: [] }
}

function unseen({ name, id }: QemuProcess): Guest {
  return { kind, name: name ?? id, id, state: 'unknown', addresses: [], forwards: [] }
}

/** Back ends that end in an interface of this machine; the others (`user`, `stream` with passt …) leave it no way. */
function isOnHostNetwork({ type }: QemuNic): boolean {
  return type === 'tap' || type === 'bridge' || type === 'vhost-user' || type === 'vhost-vdpa'
}

/** Where each network card was last heard of, by its MAC address. */
type Heard = Map<string, readonly string[]>

/**
 * A guest that was resumed says nothing by itself, and this machine has forgotten it meanwhile: it is where it was,
 * unless somebody else is there now. Dialling it asks the network anew.
 */
async function addressesOf(
  nics: readonly QemuNic[],
  { leaseFiles, heard, host, signal }: GuestOptions & { leaseFiles: readonly string[]; heard: Heard },
): Promise<readonly string[]> {
  const macs = new Set(nics.filter(isOnHostNetwork).map(({ mac }) => mac))
  if (macs.size === 0) return []
  const neighbours = await host.network.neighbours({ signal })
  for (const mac of macs) {
    const now = neighbours.filter((one) => one.mac.toLowerCase() === mac)
    if (now.length > 0) heard.set(mac, now.map(addressOf))
  }
  const others = new Set(neighbours.filter(({ mac }) => !macs.has(mac.toLowerCase())).map(addressOf))
  const seen = [...macs].flatMap((mac) => heard.get(mac) ?? []).filter((address) => !others.has(address))
  return [...new Set([...(await leased(macs, leaseFiles)), ...seen])].sort(byUse)
}

function addressOf({ address, interface: zone }: Neighbour): string {
  return address.startsWith('fe80:') ? `${address}%${zone}` : address
}

/** IPv4 first, link-local last. */
function byUse(a: string, b: string): number {
  const rank = (address: string): number => (address.startsWith('fe80:') ? 2 : address.includes(':') ? 1 : 0)
  return rank(a) - rank(b)
}

/** dnsmasq: `EXPIRY MAC ADDRESS NAME CLIENT-ID` a line. */
async function leased(macs: ReadonlySet<string>, files: readonly string[]): Promise<readonly string[]> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))
  const rows = texts.flatMap((text) => text.split('\n')).map((line) => line.split(' '))
  return rows.flatMap(([, mac = '', address = '']) =>
    macs.has(mac.toLowerCase()) && address !== '' ? [address] : [],
  )
}

function noAddress({ name }: Guest, nics: readonly QemuNic[]): NaruError {
  const onHost = nics.some(isOnHostNetwork)
  return new NaruError('GUEST_NO_ADDRESS', {
    kind,
    name,
    why: onHost ? say('it has not been heard of on its network yet') : say('it is behind QEMU’s own NAT'),
    fix: onHost
      ? say('ping this machine from the guest, or write its address as the target')
      : say('let QEMU forward: --guest nat'),
  })
}

function onlyDirect({ name }: Guest): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('it is not on QEMU’s own NAT, which alone has forwards'),
    fix: say('dial the guest itself: --guest direct'),
  })
}

function withoutQmp({ name, id }: Guest): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say`QEMU (pid ${id}) was started without a QMP socket`,
    fix: say`start it with -qmp ${shellWord(`unix:/run/${name}.qmp,server=on,wait=off`)}`,
  })
}
