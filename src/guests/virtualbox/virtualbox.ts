/**
 * Guests of VirtualBox through VBoxManage. On its NAT a guest is reached only by a forward, which is added to the
 * running machine and removed by name; on a host-only or bridged network the address that its Guest Additions report
 * is dialled.
 */
import { NaruError } from '../../base/errors.ts'
import { shellWord } from '../../base/shell.ts'
import { say } from '../../base/text.ts'
import type { Runner } from '../../host/contract.ts'
import type { Guest, GuestMember } from '../contract.ts'
import {
  guestOfForward,
  isOurTag,
  openForwards,
  undoForward,
  type Forward,
  type ForwardTable,
  type ListedForward,
} from '../shared/forwards.ts'
import { onCards, type Reported } from '../shared/cards.ts'
import { lookAtEach } from '../shared/each.ts'
import { changeMs } from '../shared/patience.ts'
import { pickGuest, pickRunning } from '../shared/pick.ts'
import { mustRun, refused, toolOf } from '../shared/tool.ts'
import {
  parseAddresses,
  parseList,
  parseMachine,
  type VirtualBoxMachine,
  type VirtualBoxNic,
} from './vm-info.ts'

export interface VirtualboxOptions {
  /** @default where Windows' installer puts it, else `VBoxManage` on PATH */
  readonly command?: string
}

const kind = 'virtualbox'
const ttlMs = 5000

export function virtualbox(options: VirtualboxOptions = {}): GuestMember {
  const box = (runner: Runner): Box => new Box(options.command ?? usualCommand(), runner)
  return {
    kind,
    async detect({ host, signal }) {
      try {
        const { length } = await box(host.runner).machines(signal)
        return { ok: true, why: say`${length} machines` }
      } catch (error) {
        if (error instanceof NaruError) return { ok: false, why: error.text }
        throw error
      }
    },

    list: ({ host, signal }) => box(host.runner).guests(signal),

    async resolve(name, { host, signal }) {
      const { guest, machine, reported } = await box(host.runner).running(name, signal)
      const cards = machine.nics.filter(isOnHostNetwork)
      if (cards.length === 0) throw noAddress(guest, machine)
      const addresses = onCards(reported, macsOf(cards)).filter((one) => !/^10\.0\.\d+\.15$/.test(one))
      if (addresses.length === 0) throw noAddress(guest, machine)
      return { addresses, ttlMs }
    },

    async reach(name, { host, signal }) {
      const { machine } = await box(host.runner).meant(name, signal)
      return machine.nics.some(isOnHostNetwork) || !machine.nics.some(isNat) ? 'direct' : 'nat'
    },

    async open(request, { host, signal, record }) {
      const here = box(host.runner)
      const { guest, machine } = await here.running(request.name, signal)
      if (!machine.nics.some(isNat)) throw onlyDirect(guest)
      return openForwards({ kind, table: forwardsOf(here, request.name), request, record, signal })
    },

    async undo(effect, { host, signal }) {
      const name = guestOfForward(effect)
      if (name !== null) await undoForward(forwardsOf(box(host.runner), name), effect, signal)
    },
  }
}

/** The forwards stand in the machine's settings: they outlive its running. */
function forwardsOf(box: Box, name: string): ForwardTable {
  const rows = (machine: VirtualBoxMachine): readonly ListedForward[] =>
    machine.nics.flatMap(({ forwards }) => forwards)
  return {
    async list(signal) {
      return rows((await box.running(name, signal)).machine)
    },
    async remaining(signal) {
      return rows((await box.meant(name, signal)).machine)
    },
    async add(forward, tag, signal) {
      const { machine } = await box.running(name, signal)
      const { slot } = machine.nics.find(isNat) as VirtualBoxNic
      await box.change(['controlvm', machine.uuid, `natpf${slot}`, ruleText(forward, tag)], signal)
    },
    async remove({ tag }, signal) {
      const { machine } = await box.meant(name, signal)
      const nic = machine.nics.find(({ forwards }) => forwards.some((forward) => forward.tag === tag))
      if (!nic || tag === null) return
      const alive = machine.state === 'running' || machine.state === 'paused'
      const how = alive
        ? ['controlvm', machine.uuid, `natpf${nic.slot}`]
        : ['modifyvm', machine.uuid, `--natpf${nic.slot}`]
      await box.change([...how, 'delete', tag], signal)
    },
  }
}

/** `naru-web,tcp,127.0.0.1,8888,,80`; without a guest address VirtualBox's DHCP knows the only guest there is. */
function ruleText({ protocol, hostAddress, hostPort, guestPort }: Forward, tag: string): string {
  return [tag, protocol, hostAddress ?? '', hostPort, '', guestPort].join(',')
}

interface Seen {
  readonly guest: Guest
  readonly machine: VirtualBoxMachine
  /** By its Guest Additions. */
  readonly reported: readonly Reported[]
}

class Box {
  readonly #command: string
  readonly #runner: Runner

  constructor(command: string, runner: Runner) {
    this.#command = command
    this.#runner = runner
  }

  async machines(signal: AbortSignal): Promise<readonly { name: string; uuid: string }[]> {
    return parseList(await this.#ask(['list', 'vms'], signal))
  }

  async guests(signal: AbortSignal): Promise<readonly Guest[]> {
    return lookAtEach(
      await this.machines(signal),
      async ({ uuid }) => (await this.#look(uuid, signal)).guest,
      {
        unseen: ({ name, uuid }) => unseen(name, uuid),
        signal,
      },
    )
  }

  async meant(name: string, signal: AbortSignal): Promise<Seen> {
    const known = (await this.machines(signal)).map(({ name: known, uuid }) => unseen(known, uuid))
    return this.#look(pickGuest(kind, known, name).id, signal)
  }

  async running(name: string, signal: AbortSignal): Promise<Seen> {
    const seen = await this.meant(name, signal)
    pickRunning(kind, [seen.guest], seen.guest.id, startCommand)
    return seen
  }

  async change(args: readonly string[], signal: AbortSignal): Promise<void> {
    const argv = [this.#command, ...args] as const
    const result = await toolOf(kind, this.#runner)(argv, { signal, ms: changeMs })
    if (result.exit !== 0) throw refused(kind, args.join(' '), result)
  }

  async #look(uuid: string, signal: AbortSignal): Promise<Seen> {
    const machine = parseMachine(await this.#ask(['showvminfo', uuid, '--machinereadable'], signal))
    const running = machine.state === 'running'
    const reported = running
      ? parseAddresses(await this.#ask(['guestproperty', 'enumerate', uuid], signal))
      : []
    const forwards = machine.nics.flatMap((nic) => nic.forwards)
    const guest: Guest = {
      ...unseen(machine.name, uuid),
      state: stateOf(machine.state),
      addresses: onCards(reported, macsOf(machine.nics)),
      forwards: forwards.map(({ tag, ...forward }) => ({ ...forward, ours: isOurTag(tag) })),
    }
    return { guest, machine, reported }
  }

  #ask(args: readonly string[], signal: AbortSignal): Promise<string> {
    return mustRun(kind, toolOf(kind, this.#runner), [this.#command, ...args], { signal })
  }
}

function unseen(name: string, id: string): Guest {
  return { kind, name, id, state: 'unknown', addresses: [], forwards: [] }
}

function stateOf(state: string): Guest['state'] {
  if (state === 'running') return 'running'
  if (state === 'paused') return 'paused'
  return /^(poweroff|saved|aborted|aborted-saved)$/.test(state) ? 'stopped' : 'unknown'
}

function startCommand({ name, state }: Guest): string {
  return state === 'paused'
    ? `VBoxManage controlvm ${shellWord(name)} resume`
    : `VBoxManage startvm ${shellWord(name)} --type headless`
}

const macsOf = (nics: readonly VirtualBoxNic[]): readonly string[] => nics.map(({ mac }) => mac)

function isNat({ type }: VirtualBoxNic): boolean {
  return type === 'nat'
}

function isOnHostNetwork({ type }: VirtualBoxNic): boolean {
  return type === 'bridged' || type === 'hostonly' || type === 'hostonlynetwork'
}

function usualCommand(): string {
  const folder = process.env.VBOX_MSI_INSTALL_PATH
  return process.platform === 'win32' && folder ? `${folder}VBoxManage.exe` : 'VBoxManage'
}

function noAddress({ name }: Guest, { nics }: VirtualBoxMachine): NaruError {
  const behindNat = !nics.some(isOnHostNetwork)
  return new NaruError('GUEST_NO_ADDRESS', {
    kind,
    name,
    why: behindNat ? say('it is behind VirtualBox’s own NAT') : say('its Guest Additions do not report one'),
    fix: behindNat
      ? say('let VirtualBox forward: --guest nat')
      : say('install them, or write its address as the target'),
  })
}

function onlyDirect({ name }: Guest): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('no network card of it is on VirtualBox’s NAT'),
    fix: say('dial the guest itself: --guest direct'),
  })
}
