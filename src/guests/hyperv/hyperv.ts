/**
 * Guests of Hyper-V through PowerShell, which answers in JSON. The host has a leg in each of its switches, so a guest
 * is dialled at the address that its integration services report; on a NAT that `New-NetNat` made, Windows can forward
 * as well, with a static mapping that is removed by its number.
 */
import { z } from 'zod'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Host, Runner } from '../../host/contract.ts'
import type { Json } from '../../model/hop.ts'
import type { Guest, GuestMember } from '../contract.ts'
import {
  guestOfForward,
  openForwards,
  undoForward,
  type ForwardTable,
  type ListedForward,
} from '../shared/forwards.ts'
import { changeMs } from '../shared/patience.ts'
import { pickRunning } from '../shared/pick.ts'
import { listOf, powershell, quoted } from '../shared/powershell.ts'

const kind = 'hyperv'
const ttlMs = 5000

/** Enums come as numbers: Microsoft.HyperV.PowerShell.VMState. */
const states: Readonly<Record<number, Guest['state']>> = {
  2: 'running',
  3: 'stopped',
  6: 'stopped',
  9: 'paused',
}

const Vm = z.object({
  Name: z.string(),
  Id: z.string(),
  State: z.number(),
  Addresses: z.array(z.string()).nullish(),
})
const Mapping = z.object({
  StaticMappingID: z.number(),
  NatName: z.string(),
  Protocol: z.union([z.string(), z.number()]),
  ExternalIPAddress: z.string(),
  ExternalPort: z.number(),
  InternalIPAddress: z.string(),
  InternalPort: z.number(),
})
type Mapping = z.infer<typeof Mapping>
const Nat = z.object({ Name: z.string(), InternalIPInterfaceAddressPrefix: z.string() })

const listVms =
  'Get-VM | ForEach-Object { [pscustomobject]@{ Name = $_.Name; Id = $_.Id.ToString(); State = [int]$_.State; Addresses = @($_.NetworkAdapters.IPAddresses) } } | ConvertTo-Json -Compress'
const listMappings =
  'Get-NetNatStaticMapping | Select-Object StaticMappingID, NatName, Protocol, ExternalIPAddress, ExternalPort, InternalIPAddress, InternalPort | ConvertTo-Json -Compress'
const listNats =
  'Get-NetNat | Select-Object Name, InternalIPInterfaceAddressPrefix | ConvertTo-Json -Compress'

export function hyperv(): GuestMember {
  return {
    kind,
    async detect({ host, signal }) {
      const { platform } = await host.facts()
      if (platform !== 'win32') return { ok: false, why: say('Hyper-V is part of Windows') }
      try {
        const { length } = await guests(host, signal)
        return { ok: true, why: say`${length} machines` }
      } catch (error) {
        if (error instanceof NaruError) return { ok: false, why: error.text }
        throw error
      }
    },

    async list({ host, signal }) {
      const rows = await mappings(host.runner, signal).catch((): Mapping[] => [])
      return (await guests(host, signal)).map((guest) => ({
        ...guest,
        forwards: rows
          .filter(({ InternalIPAddress }) => guest.addresses.includes(InternalIPAddress))
          .map((row) => ({ ...forwardOf(row), ours: false })),
      }))
    },

    async resolve(name, { host, signal }) {
      const { addresses } = addressed(await guests(host, signal), name)
      return { addresses, ttlMs }
    },

    async reach(name, { host, signal }) {
      addressed(await guests(host, signal), name)
      return 'direct'
    },

    async open(request, { host, signal, record }) {
      const guest = addressed(await guests(host, signal), request.name)
      if (request.hostPorts === null || (await natOf(host.runner, guest, signal)) === null)
        throw onlyDirect(guest)
      const table = forwardsOf(host, request.name)
      return openForwards({ kind, table, request, record, signal, notes: [notFromHere] })
    },

    async undo(effect: Json, { host, signal }) {
      const name = guestOfForward(effect)
      if (name !== null) await undoForward(forwardsOf(host, name), effect, signal)
    },
  }
}

const notFromHere = say(
  'Windows forwards what comes from other machines; from this one dial the guest itself',
)

async function guests({ runner }: Host, signal: AbortSignal): Promise<readonly Guest[]> {
  const rows = await ask(runner, listVms, z.array(Vm), signal)
  return rows.map(({ Name, Id, State, Addresses }) => ({
    kind,
    name: Name,
    id: Id,
    state: states[State] ?? 'unknown',
    addresses: usable(Addresses ?? []),
    forwards: [],
  }))
}

/** IPv4 first; what the guest gave itself for want of a DHCP server is no way in. */
function usable(addresses: readonly string[]): readonly string[] {
  const good = addresses.filter((address) => address !== '' && !/^(169\.254\.|fe80:)/i.test(address))
  return [
    ...good.filter((address) => !address.includes(':')),
    ...good.filter((address) => address.includes(':')),
  ]
}

function addressed(all: readonly Guest[], name: string): Guest {
  const guest = pickRunning(
    kind,
    all,
    name,
    ({ name: vm, state }) => `${state === 'paused' ? 'Resume' : 'Start'}-VM ${quoted(vm)}`,
  )
  if (guest.addresses.length > 0) return guest
  throw new NaruError('GUEST_NO_ADDRESS', {
    kind,
    name,
    why: say('its integration services do not report one'),
    fix: say('start them in the guest, or write its address as the target'),
  })
}

async function mappings(runner: Runner, signal: AbortSignal): Promise<Mapping[]> {
  return ask(runner, listMappings, z.array(Mapping), signal)
}

/** The NAT whose prefix holds the guest: its name goes with each mapping. */
async function natOf(
  runner: Runner,
  { addresses }: Guest,
  signal: AbortSignal,
): Promise<{ name: string; address: string } | null> {
  for (const { Name, InternalIPInterfaceAddressPrefix } of await ask(
    runner,
    listNats,
    z.array(Nat),
    signal,
  )) {
    const address = addresses.find((one) => isInside(one, InternalIPInterfaceAddressPrefix))
    if (address) return { name: Name, address }
  }
  return null
}

/** IPv4 only: NetNat has no other. */
function isInside(address: string, prefix: string): boolean {
  const number = (text: string): number => text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const [network = '', bits = '32'] = prefix.split('/')
  const size = 2 ** (32 - Number(bits))
  return !address.includes(':') && Math.floor(number(address) / size) === Math.floor(number(network) / size)
}

function forwardOf({ Protocol, ExternalIPAddress, ExternalPort, InternalPort }: Mapping): ListedForward {
  return {
    // MSFT_NetNatStaticMapping: 6 and 17, or the words, as PowerShell's version has it.
    protocol: String(Protocol).toLowerCase() === 'udp' || Protocol === 17 || Protocol === 1 ? 'udp' : 'tcp',
    hostAddress: ExternalIPAddress === '0.0.0.0' ? null : ExternalIPAddress,
    hostPort: ExternalPort,
    guestPort: InternalPort,
    tag: null,
  }
}

/** A mapping has no name of ours; the journal knows whose it is. It outlives the guest's running. */
function forwardsOf(host: Host, name: string): ForwardTable {
  const { runner } = host
  const rows = (signal: AbortSignal): Promise<Mapping[]> => mappings(runner, signal)
  return {
    async list(signal) {
      const { addresses } = addressed(await guests(host, signal), name)
      return (await rows(signal)).map((row) => ({
        ...forwardOf(row),
        elsewhere: !addresses.includes(row.InternalIPAddress),
      }))
    },
    remaining: async (signal) => (await rows(signal)).map(forwardOf),
    async add({ protocol, hostAddress, hostPort, guestPort }, _tag, signal) {
      const guest = addressed(await guests(host, signal), name)
      const nat = await natOf(runner, guest, signal)
      if (!nat) throw onlyDirect(guest)
      const script =
        `Add-NetNatStaticMapping -NatName ${quoted(nat.name)} -Protocol ${protocol.toUpperCase()} ` +
        `-ExternalIPAddress ${quoted(hostAddress ?? '0.0.0.0')} -ExternalPort ${hostPort} ` +
        `-InternalIPAddress ${quoted(nat.address)} -InternalPort ${guestPort} | Out-Null`
      await powershell(kind, runner, script, { signal, ms: changeMs })
    },
    async remove(forward, signal) {
      const row = (await rows(signal)).find((one) => {
        const { protocol, hostPort, hostAddress } = forwardOf(one)
        return (
          protocol === forward.protocol &&
          hostPort === forward.hostPort &&
          hostAddress === forward.hostAddress
        )
      })
      if (!row) return
      const script = `Remove-NetNatStaticMapping -StaticMappingID ${row.StaticMappingID} -Confirm:$false`
      await powershell(kind, runner, script, { signal, ms: changeMs })
    },
  }
}

async function ask<T>(runner: Runner, script: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
  const answer = listOf(await powershell(kind, runner, script, { signal }))
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  const why = z.prettifyError(parsed.error).slice(0, 200)
  throw new NaruError('GUEST_UNREADABLE', { kind, where: 'powershell.exe', why }, { cause: parsed.error })
}

function onlyDirect({ name }: Guest): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('only a NAT made by New-NetNat forwards, and only from other machines'),
    fix: say('dial the guest itself: --guest direct'),
  })
}
