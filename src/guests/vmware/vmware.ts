/**
 * Guests of VMware Workstation and Fusion: through `vmrest` where it runs, else through VMware's tools. Their own
 * address is dialled, or VMware's NAT forwards to it; then DHCP is told to keep giving the guest that address.
 */
import { withLimit } from '../../base/clock.ts'
import { z } from 'zod'
import { isNaruError, NaruError } from '../../base/errors.ts'
import { shellWord } from '../../base/shell.ts'
import { say, type Text } from '../../base/text.ts'
import type { Host } from '../../host/contract.ts'
import type { Effect, Json, Recorder } from '../../model/hop.ts'
import type { Guest, GuestLease, GuestMember } from '../contract.ts'
import { guestOfForward, isOurTag, openForwards, undoForward, type ForwardTable } from '../shared/forwards.ts'
import { lookAtEach } from '../shared/each.ts'
import { pickRunning } from '../shared/pick.ts'
import { restAt } from './rest.ts'
import type { NatForward, Vm, VmNic, VmwareSide } from './side.ts'
import { toolsSide, usualPlace, type ToolsPlace } from './tools.ts'

export interface VmwareOptions {
  /** `http://USER:PASSWORD@127.0.0.1:8697`. @default NARU_VMREST */
  readonly rest?: string
  /** @default where VMware's installer puts its tools on this system */
  readonly tools?: ToolsPlace
  /** @default process.env */
  readonly env?: NodeJS.ProcessEnv
}

const kind = 'vmware'
const ttlMs = 5000

const Pin = z.object({ type: z.literal('pin'), vmnet: z.string(), mac: z.string(), address: z.string() })

// oxlint-disable-next-line max-lines-per-function -- the member’s contract, answer by answer
export function vmware(options: VmwareOptions = {}): GuestMember {
  const env = options.env ?? process.env
  const rest = options.rest ?? env.NARU_VMREST

  async function sideOf(host: Host): Promise<VmwareSide> {
    if (rest !== undefined && rest !== '') {
      const side = restAt(rest)
      if (side) return side
      const why = say('NARU_VMREST is not http://USER:PASSWORD@HOST:PORT')
      throw new NaruError('GUEST_NOT_HERE', { kind, why })
    }
    const { platform } = await host.facts()
    return toolsSide(options.tools ?? usualPlace(platform, env), host.runner)
  }

  return {
    kind,
    async detect({ host, signal }) {
      try {
        const side = await sideOf(host)
        const { length } = await side.vms(signal)
        return {
          ok: true,
          why: say`${length} VMs by ${side.where}`,
        }
      } catch (error) {
        if (error instanceof NaruError) return { ok: false, why: error.text }
        throw error
      }
    },

    async list({ host, signal }) {
      const side = await sideOf(host)
      return lookAtEach(await side.vms(signal), (vm) => guestOf(side, vm, signal), { unseen, signal })
    },

    async resolve(name, { host, signal }) {
      const side = await sideOf(host)
      return { addresses: [(await addressed(side, name, signal)).address], ttlMs }
    },

    // The host has an adapter on each of VMware's networks, and a bridged guest is on its LAN.
    async reach(name, { host, signal }) {
      await running(await sideOf(host), name, signal)
      return 'direct'
    },

    async open(request, { host, signal, record }) {
      const side = await sideOf(host)
      const { vm, address } = await addressed(side, request.name, signal)
      const nic = (await side.nicsOf(vm, signal)).find(({ type }) => type === 'nat')
      if (!nic) throw onlyDirect(vm)
      if (side.costly) throw new NaruError('GUEST_NO_FORWARD', { kind, name: vm.name, ...side.costly })
      await side.permitted?.(nic.vmnet, { address, ...request })
      const pinned = await pin(side, nic, address, { signal, record })
      try {
        const table = forwardsOf(side, request.name, nic.vmnet)
        const notes = [...side.notes, ...pinned.notes, listensEverywhere]
        const lease = await openForwards({ kind, table, request, record, signal, notes })
        return withPin(lease, pinned)
      } catch (error) {
        await pinned.release(withLimit(undefined, 15_000))
        throw error
      }
    },

    async undo(effect: Json, { host, signal }) {
      const side = await sideOf(host)
      const pinned = Pin.safeParse(effect)
      if (pinned.success) return unpin(side, pinned.data, signal)
      const name = guestOfForward(effect)
      if (name !== null) await undoForward(forwardsOf(side, name, 'vmnet8'), effect, signal)
    },
  }
}

const listensEverywhere: Text = say(
  'VMware listens on every address of this machine, past this rule’s allow-list',
)

async function guestOf(side: VmwareSide, vm: Vm, signal: AbortSignal): Promise<Guest> {
  const address = vm.state === 'running' ? await side.addressOf(vm, signal) : null
  const rows = address === null ? [] : await side.forwards('vmnet8', signal).catch((): NatForward[] => [])
  return {
    kind,
    name: vm.name,
    id: vm.id,
    state: vm.state,
    addresses: address === null ? [] : [address],
    forwards: rows
      .filter(({ guestAddress }) => guestAddress === address)
      .map(({ protocol, hostPort, guestPort, tag }) => ({
        protocol,
        hostAddress: null,
        hostPort,
        guestPort,
        ours: isOurTag(tag),
      })),
  }
}

function unseen({ name, id, state }: Vm): Guest {
  return { kind, name, id, state, addresses: [], forwards: [] }
}

async function running(side: VmwareSide, name: string, signal: AbortSignal): Promise<Vm> {
  const vms = await side.vms(signal)
  const guests = vms.map(unseen)
  const { id } = pickRunning(
    kind,
    guests,
    name,
    (guest) => `vmrun start ${shellWord(vms.find((vm) => vm.id === guest.id)?.path ?? guest.name)}`,
  )
  return vms.find((vm) => vm.id === id) as Vm
}

async function addressed(
  side: VmwareSide,
  name: string,
  signal: AbortSignal,
): Promise<{ vm: Vm; address: string }> {
  const vm = await running(side, name, signal)
  const address = await side.addressOf(vm, signal)
  if (address !== null) return { vm, address }
  throw new NaruError('GUEST_NO_ADDRESS', {
    kind,
    name,
    why: say('VMware does not know it'),
    fix: say('start VMware Tools in the guest, or write its address as the target'),
  })
}

/** The NAT's rows, of which a guest's are those to its address now; ours to its former address are replaced. */
function forwardsOf(side: VmwareSide, name: string, vmnet: string): ForwardTable {
  return {
    everywhere: true,
    async list(signal) {
      const { address } = await addressed(side, name, signal)
      const rows = await side.forwards(vmnet, signal)
      return rows.map((row) => ({ ...row, hostAddress: null, elsewhere: row.guestAddress !== address }))
    },
    // VMware keeps a forward of a guest that is off or gone.
    async remaining(signal) {
      return (await side.forwards(vmnet, signal)).map((row) => ({ ...row, hostAddress: null }))
    },
    async add({ protocol, hostPort, guestPort }, tag, signal) {
      const { address: guestAddress } = await addressed(side, name, signal)
      await side.add(vmnet, { protocol, hostPort, guestPort, guestAddress, tag }, signal)
    },
    remove: ({ protocol, hostPort, guestPort, tag }, signal) =>
      side.remove(vmnet, { protocol, hostPort, guestPort, tag, guestAddress: '' }, signal),
  }
}

interface Pinned {
  readonly notes: readonly Text[]
  release(signal: AbortSignal): Promise<void>
}

const notOurs: Pinned = { notes: [], release: () => Promise.resolve() }

/** Somebody else's pin stays as it is; a refusal is only told, as the forward follows the guest anyway. */
async function pin(
  side: VmwareSide,
  { vmnet, mac }: VmNic,
  address: string,
  { signal, record }: { signal: AbortSignal; record: Recorder },
): Promise<Pinned> {
  const before = await side.pinOf(vmnet, mac, signal)
  const written = { type: 'pin', vmnet, mac, address } as const
  const ours = record.before?.some((effect) => JSON.stringify(effect) === JSON.stringify(written)) ?? false
  if ((before !== null && !(ours && before === address)) || mac === '') return notOurs
  const effect: Effect = await record.intend(written)
  try {
    if (before === null) await side.pin(vmnet, mac, address, signal)
  } catch (error) {
    if (!isNaruError(error, 'GUEST_REFUSED')) throw error
    await effect.undone()
    return {
      ...notOurs,
      notes: [say`its address could not be pinned: ${error.text}`],
    }
  }
  let held = true
  return {
    notes: [],
    async release(when) {
      if (!held) return
      await unpin(side, written, when)
      await effect.undone()
      held = false
    },
  }
}

async function unpin(
  side: VmwareSide,
  { vmnet, mac, address }: z.infer<typeof Pin>,
  signal: AbortSignal,
): Promise<void> {
  if ((await side.pinOf(vmnet, mac, signal)) === address) await side.pin(vmnet, mac, null, signal)
}

function withPin(lease: GuestLease, pinned: Pinned): GuestLease {
  return {
    leadsTo: lease.leadsTo,
    host: lease.host,
    goodUntil: null,
    renewAfter: null,
    describe: () => lease.describe(),
    verify: (options) => lease.verify(options),
    renew: (options) => lease.renew(options),
    async release({ signal }) {
      // First the pin: where a restart makes changes count, the forward's removal brings it.
      await pinned.release(signal)
      await lease.release({ signal })
    },
  }
}

function onlyDirect({ name }: Vm): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('it is not on VMware’s NAT network'),
    fix: say('dial the guest itself: --guest direct'),
  })
}
