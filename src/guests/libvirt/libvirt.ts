/**
 * Guests of libvirt through virsh. On a libvirt network (NAT or bridged) the guest's own address is dialled, as the
 * host has a leg in it. On user networking there is a forward: with QEMU's own NAT it is added to the running guest
 * through its monitor; with passt it stands in the guest's definition, and only one that is there can be used.
 */
import { isNaruError, NaruError } from '../../base/errors.ts'
import { shellWord } from '../../base/shell.ts'
import { say, verbatim } from '../../base/text.ts'
import type { Runner } from '../../host/contract.ts'
import type { Guest, GuestMember } from '../contract.ts'
import {
  guestOfForward,
  openForwards,
  undoForward,
  type Forward,
  type ForwardTable,
} from '../shared/forwards.ts'
import { onCards } from '../shared/cards.ts'
import { lookAtEach } from '../shared/each.ts'
import { changeMs } from '../shared/patience.ts'
import { pickGuest, pickRunning } from '../shared/pick.ts'
import { mustRun, toolOf } from '../shared/tool.ts'
import {
  parseAddresses,
  parseDomains,
  parseInterfaces,
  parseUserNet,
  type Domain,
  type DomainInterface,
} from './output.ts'

export interface LibvirtOptions {
  /** `qemu:///system`, `qemu:///session` … @default LIBVIRT_DEFAULT_URI, else what virsh chooses */
  readonly uri?: string
}

const kind = 'libvirt'
const ttlMs = 5000

export function libvirt({ uri }: LibvirtOptions = {}): GuestMember {
  const virsh = (runner: Runner): Virsh => new Virsh(runner, uri === undefined ? [] : ['--connect', uri])
  return {
    kind,
    async detect({ host, signal }) {
      try {
        const { length } = await virsh(host.runner).domains(signal)
        return { ok: true, why: say`${length} domains` }
      } catch (error) {
        if (error instanceof NaruError) return { ok: false, why: error.text }
        throw error
      }
    },

    async list({ host, signal }) {
      const here = virsh(host.runner)
      return lookAtEach(await here.domains(signal), (domain) => here.guest(domain, signal), {
        unseen,
        signal,
      })
    },

    async resolve(name, { host, signal }) {
      const here = virsh(host.runner)
      const domain = await here.running(name, signal)
      const addresses = await here.addresses(domain, signal)
      if (addresses.length === 0) throw noAddress(domain, await here.interfaces(domain, signal))
      return { addresses, ttlMs }
    },

    async reach(name, { host, signal }) {
      const here = virsh(host.runner)
      const interfaces = await here.interfaces(await here.meant(name, signal), signal)
      return interfaces.length > 0 && interfaces.every(({ type }) => type === 'user') ? 'nat' : 'direct'
    },

    async open(request, { host, signal, record }) {
      const here = virsh(host.runner)
      const domain = await here.running(request.name, signal)
      const user = (await here.interfaces(domain, signal)).find(({ type }) => type === 'user')
      if (!user) throw onlyDirect(domain)
      const table = forwardsOf(here, request.name, user)
      return openForwards({ kind, table, request, record, signal, notes: user.passt ? [] : [tainted] })
    },

    async undo(effect, { host, signal }) {
      const name = guestOfForward(effect)
      if (name === null) return
      const here = virsh(host.runner)
      const table = forwardsOf(here, name, {
        type: 'user',
        passt: false,
        mac: null,
        alias: null,
        forwards: [],
      })
      await undoForward(table, effect, signal)
    },
  }
}

const tainted = say('libvirt marks a guest whose monitor was used as tainted; that changes nothing for it')

/** A forward that was added through the monitor goes with the QEMU that has it, which libvirt numbers. */
function forwardsOf(virsh: Virsh, name: string, user: DomainInterface): ForwardTable {
  if (user.passt) {
    const refuse = (): Promise<void> => Promise.resolve()
    return {
      async list(signal) {
        const interfaces = await virsh.interfaces(await virsh.running(name, signal), signal)
        return interfaces.flatMap(({ forwards }) => forwards).map((forward) => ({ ...forward, tag: null }))
      },
      add: refuse,
      remove: refuse,
      cannotAdd: passtIsFixed(name),
    }
  }
  return {
    async list(signal) {
      const domain = await virsh.running(name, signal)
      return parseUserNet(await virsh.monitor(domain, 'info usernet', signal)).map((forward) => ({
        ...forward,
        tag: null,
      }))
    },
    async add(forward, _tag, signal) {
      const domain = await virsh.running(name, signal)
      // libvirt calls the first card's back end hostnet0.
      const netdev = await virsh.userNetdev(domain, signal)
      const answer = await virsh.monitor(
        domain,
        `hostfwd_add ${netdev} ${ruleText(forward)}-:${forward.guestPort}`,
        signal,
      )
      if (answer !== '') throw monitorSaid(`hostfwd_add ${ruleText(forward)}`, answer)
    },
    async remove(forward, signal) {
      const domain = await virsh.running(name, signal)
      const netdev = await virsh.userNetdev(domain, signal)
      const answer = await virsh.monitor(domain, `hostfwd_remove ${netdev} ${ruleText(forward)}`, signal)
      if (!/ (removed|not found)$/.test(answer))
        throw monitorSaid(`hostfwd_remove ${ruleText(forward)}`, answer)
    },
    instance: (signal) => virsh.instance(name, signal),
  }
}

function ruleText({ protocol, hostAddress, hostPort }: Forward): string {
  return `${protocol}:${hostAddress ?? ''}:${hostPort}`
}

/** QEMU's monitor fails by text inside success. */
function monitorSaid(what: string, answer: string): NaruError {
  return new NaruError('GUEST_REFUSED', { kind, what, why: verbatim(answer.slice(0, 300)) })
}

class Virsh {
  readonly #runner: Runner
  readonly #connect: readonly string[]

  constructor(runner: Runner, connect: readonly string[]) {
    this.#runner = runner
    this.#connect = connect
  }

  async domains(signal: AbortSignal): Promise<readonly Domain[]> {
    return parseDomains(await this.#ask(['domstats', '--raw', '--state'], signal))
  }

  async meant(name: string, signal: AbortSignal): Promise<Domain> {
    const domains = await this.domains(signal)
    const { id } = pickGuest(kind, domains.map(unseen), name)
    return domains.find((domain) => domain.name === id) as Domain
  }

  async running(name: string, signal: AbortSignal): Promise<Domain> {
    const domain = await this.meant(name, signal)
    pickRunning(kind, [unseen(domain)], domain.name, startCommand)
    return domain
  }

  async guest(domain: Domain, signal: AbortSignal): Promise<Guest> {
    if (domain.state !== 'running') return unseen(domain)
    const [addresses, interfaces] = await Promise.all([
      this.addresses(domain, signal),
      this.interfaces(domain, signal),
    ])
    const slirp = interfaces.some(({ type, passt }) => type === 'user' && !passt)
    const live = slirp ? parseUserNet(await this.monitor(domain, 'info usernet', signal).catch(() => '')) : []
    const forwards = [...interfaces.flatMap((card) => card.forwards), ...live]
    return {
      ...unseen(domain),
      addresses,
      forwards: forwards.map((forward) => ({ ...forward, ours: false })),
    }
  }

  /** What DHCP leased; else what the guest's agent, else the ARP table says. */
  async addresses(domain: Domain, signal: AbortSignal): Promise<readonly string[]> {
    const { name } = domain
    const tool = toolOf(kind, this.#runner)
    for (const source of ['lease', 'agent', 'arp']) {
      const { exit, stdout } = await tool([...this.#virsh, 'domifaddr', name, '--source', source], { signal })
      const reported = exit === 0 ? parseAddresses(stdout) : []
      if (reported.length === 0) continue
      // The agent tells every interface that the guest has.
      const cards = source === 'agent' ? await this.interfaces(domain, signal) : []
      return onCards(
        reported,
        cards.flatMap(({ mac }) => mac ?? []),
      )
    }
    return []
  }

  async interfaces({ name }: Domain, signal: AbortSignal): Promise<readonly DomainInterface[]> {
    return parseInterfaces(await this.#ask(['dumpxml', name], signal))
  }

  async userNetdev(domain: Domain, signal: AbortSignal): Promise<string> {
    const alias = (await this.interfaces(domain, signal)).find(({ type }) => type === 'user')?.alias ?? 'net0'
    return `host${alias}`
  }

  async monitor({ name }: Domain, line: string, signal: AbortSignal): Promise<string> {
    const argv = [...this.#virsh, 'qemu-monitor-command', name, '--hmp', line] as const
    return (await mustRun(kind, toolOf(kind, this.#runner), argv, { signal, ms: changeMs })).trim()
  }

  async instance(name: string, signal: AbortSignal): Promise<string> {
    const domain = await this.running(name, signal)
    return (await this.#ask(['domid', domain.name], signal)).trim()
  }

  get #virsh(): readonly [string, ...string[]] {
    return ['virsh', '--quiet', ...this.#connect]
  }

  async #ask(args: readonly string[], signal: AbortSignal): Promise<string> {
    try {
      return await mustRun(kind, toolOf(kind, this.#runner), [...this.#virsh, ...args], { signal })
    } catch (error) {
      throw whyNot(error)
    }
  }
}

/** `Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory`, or `Connection refused`. */
const noDaemon = /socket to '([^'\n]{1,200})': (?:No such file or directory|Connection refused)/

/** virsh is there, and nobody answers it: that is no refusal. */
function whyNot(error: unknown): unknown {
  if (!isNaruError(error, 'GUEST_REFUSED')) return error
  const { why } = error.params
  const socket = noDaemon.exec(typeof why === 'object' ? why.en : String(why))?.[1]
  if (socket === undefined) return error
  return new NaruError(
    'GUEST_NOT_RUNNING',
    {
      kind,
      why: say`nobody answers at ${socket}`,
      start: startOf(socket),
    },
    { cause: error },
  )
}

/** One daemon for all (libvirtd) or one a driver (virtqemud); a user's own is started by hand. */
function startOf(socket: string): string {
  const daemon = socket.includes('virtqemud') ? 'virtqemud' : 'libvirtd'
  return socket.startsWith('/run/user/') || socket.includes('/.cache/')
    ? `${daemon} --daemon`
    : `sudo systemctl start ${daemon}`
}

function unseen({ name, state }: Domain): Guest {
  return { kind, name, id: name, state, addresses: [], forwards: [] }
}

function startCommand({ name, state }: Guest): string {
  return `virsh ${state === 'paused' ? 'resume' : 'start'} ${shellWord(name)}`
}

function noAddress({ name }: Domain, interfaces: readonly DomainInterface[]): NaruError {
  const behindNat = interfaces.some(({ type }) => type === 'user')
  return new NaruError('GUEST_NO_ADDRESS', {
    kind,
    name,
    why: behindNat
      ? say('it is on user networking')
      : say('neither a lease, nor its agent, nor ARP tells one'),
    fix: behindNat
      ? say('let the hypervisor forward: --guest nat')
      : say('install qemu-guest-agent in the guest, or write its address as the target'),
  })
}

function onlyDirect({ name }: Domain): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('a libvirt network has no forwards; this machine reaches the guest through it'),
    fix: say('dial the guest itself: --guest direct'),
  })
}

function passtIsFixed(name: string): NaruError {
  return new NaruError('GUEST_NO_FORWARD', {
    kind,
    name,
    why: say('passt takes forwards only from the guest’s definition, when it starts'),
    fix: say`add <portForward proto='tcp'><range start='8888' to='80'/></portForward> by \`virsh edit ${shellWord(name)}\` and start it anew`,
  })
}
