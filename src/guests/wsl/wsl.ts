/**
 * Linux distributions of WSL. In NAT mode they share one address that changes with each start: it is asked for when
 * dialling, and our relay does what `netsh portproxy` could do for TCP alone. In mirrored mode, and in WSL 1, they share
 * Windows' own addresses: loopback is dialled, and a door from outside straight into the guest is a Hyper-V firewall rule.
 */
import { withLimit } from '../../base/clock.ts'
import { z } from 'zod'
import { addressRange, canonicalAddress, familyOf } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { shellWord } from '../../base/shell.ts'
import { say } from '../../base/text.ts'
import type { Host } from '../../host/contract.ts'
import type { Effect, Json, Verdict } from '../../model/hop.ts'
import type { Guest, GuestForwardRequest, GuestLease, GuestMember } from '../contract.ts'
import { forwardTag } from '../shared/forwards.ts'
import { lookAtEach } from '../shared/each.ts'
import { changeMs } from '../shared/patience.ts'
import { pickRunning } from '../shared/pick.ts'
import { listOf, powershell, quoted } from '../shared/powershell.ts'
import { mustRun, toolOf } from '../shared/tool.ts'

const kind = 'wsl'
const ttlMs = 5000
/** Without it `wsl.exe` writes UTF-16. */
const env = { WSL_UTF8: '1' } as const
/** WSL's own virtual machines among those of the Hyper-V firewall. Source: Microsoft, "Advanced settings configuration in WSL". */
const wslCreator = '{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}'

const DoorEffect = z.object({ type: z.literal('hyperv-firewall'), tag: z.string() })

export function wsl(): GuestMember {
  return {
    kind,
    async detect({ host, signal }) {
      const { platform } = await host.facts()
      if (platform !== 'win32') return { ok: false, why: say('WSL is part of Windows') }
      try {
        const { length } = await distributions(host, signal)
        return { ok: true, why: say`${length} distributions` }
      } catch (error) {
        if (error instanceof NaruError) return { ok: false, why: error.text }
        throw error
      }
    },

    async list({ host, signal }) {
      const all = await distributions(host, signal)
      return lookAtEach(
        all,
        async (guest) =>
          guest.state === 'running'
            ? { ...guest, addresses: await addressesOf(guest.name, host, signal) }
            : guest,
        { unseen: (guest) => guest, signal },
      )
    },

    async resolve(name, { host, signal }) {
      const guest = await running(name, host, signal)
      const addresses = await addressesOf(guest.name, host, signal)
      if (addresses.length === 0) throw noAddress(name)
      return { addresses, ttlMs, sharesNetwork: addresses === onThisMachine }
    },

    async reach(name, { host, signal }) {
      await running(name, host, signal)
      return 'direct'
    },

    async open(request, { host, signal, record }) {
      const guest = await running(request.name, host, signal)
      const shared = await sharesWindows(await ownAddresses(guest.name, host, signal), host, signal)
      if (!shared || request.hostPorts === null || !samePorts(request)) throw onlyDirect(guest.name, shared)
      const effect = await record.intend({ type: 'hyperv-firewall', tag: forwardTag(request.rule, null) })
      const door = new FirewallDoor(request, host, effect)
      try {
        await door.renew({ signal })
        return door
      } catch (error) {
        await door.release({ signal: withLimit(undefined, 15_000) })
        throw error
      }
    },

    async undo(effect: Json, { host, signal }) {
      const door = DoorEffect.safeParse(effect)
      if (door.success) await removeRule(door.data.tag, host, signal)
    },
  }
}

/** A rule of the Hyper-V firewall that lets the guest's own ports be reached at Windows' addresses. */
class FirewallDoor implements GuestLease {
  readonly goodUntil = null
  readonly renewAfter = null
  readonly leadsTo: GuestLease['leadsTo']
  readonly host: GuestLease['host']
  readonly #request: GuestForwardRequest
  readonly #host: Host
  readonly #tag: string
  #effect: Effect | null

  constructor(request: GuestForwardRequest, host: Host, effect: Effect) {
    this.#request = request
    this.#host = host
    this.#effect = effect
    this.#tag = forwardTag(request.rule, null)
    this.leadsTo = { kind, name: request.name }
    this.host = { address: request.hostAddress ?? '0.0.0.0', ports: request.guestPorts }
  }

  describe(): ReturnType<GuestLease['describe']> {
    const { name, protocol, guestPorts } = this.#request
    const ports = formatPortRange(guestPorts)
    return {
      member: kind,
      text: say`Hyper-V firewall lets ${ports}/${protocol} in to ${name}`,
      differs: [],
      data: { ports: { ...guestPorts }, protocol, firewallRule: this.#tag },
    }
  }

  async verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    if (await findRule(this.#tag, this.#host, signal)) return { state: 'held', notes: [] }
    const { name, guestPorts } = this.#request
    const forward = formatPortRange(guestPorts)
    return { state: 'lost', why: new NaruError('GUEST_FORWARD_LOST', { kind, name, forward }) }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    const { protocol, guestPorts } = this.#request
    if (await findRule(this.#tag, this.#host, signal)) return
    const script =
      `New-NetFirewallHyperVRule -Name ${quoted(this.#tag)} -DisplayName ${quoted(this.#tag)} -Direction Inbound ` +
      `-VMCreatorId ${quoted(wslCreator)} -Protocol ${protocol.toUpperCase()} ` +
      `-LocalPorts ${formatPortRange(guestPorts)} -Action Allow | Out-Null`
    await powershell(kind, this.#host.runner, script, { signal, ms: changeMs })
    if (await findRule(this.#tag, this.#host, signal)) return
    throw new NaruError('GUEST_REFUSED', {
      kind,
      what: 'New-NetFirewallHyperVRule',
      why: say('it said yes, but the rule is not there'),
    })
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    if (!this.#effect) return
    await removeRule(this.#tag, this.#host, signal)
    await this.#effect.undone()
    this.#effect = null
  }
}

async function findRule(tag: string, { runner }: Host, signal: AbortSignal): Promise<boolean> {
  // A missing rule is an empty answer this way, and not a localised error.
  const script = `Get-NetFirewallHyperVRule | Where-Object Name -eq ${quoted(tag)} | Select-Object Name | ConvertTo-Json -Compress`
  return listOf(await powershell(kind, runner, script, { signal })).length > 0
}

async function removeRule(tag: string, host: Host, signal: AbortSignal): Promise<void> {
  if (!(await findRule(tag, host, signal))) return
  await powershell(kind, host.runner, `Remove-NetFirewallHyperVRule -Name ${quoted(tag)}`, {
    signal,
    ms: changeMs,
  })
}

/** Names only: columns and states are translated, names are not. */
async function distributions({ runner }: Host, signal: AbortSignal): Promise<readonly Guest[]> {
  const tool = toolOf(kind, runner)
  const all = names(await mustRun(kind, tool, ['wsl.exe', '--list', '--quiet'], { signal, env }))
  // Where none runs it says so in the system's language and fails: no line of it is a known name.
  const { stdout } = await tool(['wsl.exe', '--list', '--running', '--quiet'], { signal, env })
  const up = new Set(names(stdout))
  return all.map((name) => ({
    kind,
    name,
    id: name,
    state: up.has(name) ? 'running' : 'stopped',
    addresses: [],
    forwards: [],
  }))
}

/** Older versions do not know WSL_UTF8 and write UTF-16: read as bytes, every other one is a NUL. */
function names(text: string): readonly string[] {
  return text
    .replaceAll('\0', '')
    .replace(/^[\uFEFF\uFFFD]+/, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean)
}

async function running(name: string, host: Host, signal: AbortSignal): Promise<Guest> {
  return pickRunning(
    kind,
    await distributions(host, signal),
    name,
    (guest) => `wsl -d ${shellWord(guest.name)}`,
  )
}

/** Where networking is mirrored (WSL 2). */
const onThisMachine: readonly string[] = ['127.0.0.1']

async function addressesOf(name: string, host: Host, signal: AbortSignal): Promise<readonly string[]> {
  const own = await ownAddresses(name, host, signal)
  return (await sharesWindows(own, host, signal)) ? onThisMachine : own
}

/** `hostname -I` is not in every distribution (busybox has none); `ip` is in most others. */
async function ownAddresses(name: string, { runner }: Host, signal: AbortSignal): Promise<readonly string[]> {
  const tool = toolOf(kind, runner)
  const inside = async (...argv: string[]): Promise<string> => {
    const { exit, stdout } = await tool(['wsl.exe', '-d', name, '--exec', ...argv], { signal, env })
    return exit === 0 ? stdout : ''
  }
  const listed = (await inside('hostname', '-I')).split(/\s+/).filter(isIpv4)
  const found =
    listed.length > 0
      ? listed
      : parseShown(await inside('ip', '-4', '-o', 'address', 'show', 'scope', 'global'))
  // Docker's bridges inside the guest come after its own interface.
  return found.filter((address) => addressRange(address) !== 'loopback').slice(0, 1)
}

const isIpv4 = (word: string): boolean => canonicalAddress(word) !== null && familyOf(word) === 4

/** `2: eth0    inet 172.20.15.255/20 brd 172.20.31.255 scope global eth0`; one alone in its network leads nowhere. */
function parseShown(text: string): readonly string[] {
  return [...text.matchAll(/\binet (\d{1,3}(?:\.\d{1,3}){3})\/(?!32\b)\d/g)].map(
    ([, address = '']) => address,
  )
}

/** Mirrored networking and WSL 1: the guest's address is one of Windows' own. */
async function sharesWindows(
  addresses: readonly string[],
  { network }: Host,
  signal: AbortSignal,
): Promise<boolean> {
  const ours = (await network.interfaces({ signal })).flatMap((one) =>
    one.addresses.map(({ address }) => address),
  )
  return addresses.some((address) => ours.includes(address))
}

function samePorts({ hostPorts, guestPorts }: GuestForwardRequest): boolean {
  return hostPorts?.first === guestPorts.first && hostPorts.last === guestPorts.last
}

function noAddress(name: string): NaruError {
  return new NaruError('GUEST_NO_ADDRESS', {
    kind,
    name,
    why: say('neither hostname -I nor ip tells one'),
    fix: say('start its network, or write its address as the target'),
  })
}

function onlyDirect(name: string, shared: boolean): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: shared
      ? say('in mirrored mode the guest’s own ports are Windows’ ports; no other port leads to them')
      : say('in NAT mode Windows has only portproxy, which carries TCP alone'),
    fix: say('let Naru’s relay do it: --guest direct'),
  })
}
