/**
 * The `kernel` engine: Linux forwards by nftables NAT, in the table `inet naru` and nowhere else.
 *
 * A rule becomes elements of a few maps, so one rule costs a packet what ten thousand do, and changing one touches no
 * other. Connections are the kernel's: they outlive this process, also by kill -9, and a next start takes over what
 * stands by replacing each element, in one transaction, with its own. What conntrack tells is read once a second at
 * most; packets never wait for us.
 */
import { familyOf } from '../../base/address.ts'
import { withLimit, systemClock, type Clock } from '../../base/clock.ts'
import { errnoOf, NaruError } from '../../base/errors.ts'
import { verbatim } from '../../base/text.ts'
import { portsOverlap } from '../../base/port.ts'
import type { Host, SocketEntry } from '../../host/contract.ts'
import { Others } from '../../host/simulate/index.ts'
import { ownerLives, pidNamespace, thisOwner } from '../../linux/process-identity.ts'
import type { Recorder } from '../../model/hop.ts'
import { formatListen, type InetListen } from '../../model/listen.ts'
import { listenError, notUs } from '../../relay/listen-error.ts'
import { targetsItself } from '../../relay/loop.ts'
import type { Engine } from '../contract.ts'
import { isAnyAddress, listenFamily } from './compile.ts'
import { NetlinkMonitor } from './netlink-monitor.ts'
import { Sysctls, type OldValues } from './sysctls.ts'
import { Guard } from './guard.ts'
import { KernelLease, unfit } from './lease.ts'
import { EngineContext } from './engine-context.ts'
import { createNft } from '../../linux/nft.ts'
import { Ports, type HeldPorts } from './held-ports.ts'
import { FlowOffloading } from './offloading.ts'
import { createSettings, type ProcSys } from './proc-sys.ts'
import { noOfMachineNow, noOfPath, obstacleOn, supports } from './supports.ts'
import { KernelTable } from './nft-table.ts'
import { carriedIn, formatCarried } from './marked-elements.ts'
import type { Origin, ElementTag } from './element-tag.ts'
import { ConntrackPoll } from './conntrack-poll.ts'

/** How soon it is seen that somebody else filters, or routes, ms. */
const lookAroundEveryMs = 3000

export interface KernelOptions {
  readonly host: Host
  /** @default systemClock */
  readonly clock?: Clock
  /** The switches under /proc/sys. @default those of this process's network */
  readonly settings?: ProcSys
  /** Whose the elements are. @default this process */
  readonly owner?: string
  /** @default those of this host */
  readonly others?: Others
  /** @default those of this process's network */
  readonly ports?: Ports
}

export interface KernelEngine extends Engine {
  open(...asked: Parameters<Engine['open']>): Promise<KernelLease>
  /** Ends this side alone: the kernel goes on carrying, and the next start takes over. For a restart. */
  abandon(): void
}

/**
 * What the journal keeps of one open. `was` are the machine's switches before the first of us changed them; they are
 * what they are since the machine was started, so that `boot` has to be this one.
 */
type KernelEffect = {
  readonly owner: string
  readonly rule: string
  readonly was: OldValues
  readonly boot: string | null
  /** As `carried` tells of it. */
  readonly tag: string | null
}

// oxlint-disable-next-line max-lines-per-function -- the engine’s contract, answer by answer
export function createKernelEngine(options: KernelOptions): KernelEngine {
  const { host, clock = systemClock, settings = createSettings(), owner = thisOwner() } = options
  const nft = createNft(host.runner)
  /** Processes that live but hand over: theirs may be taken. */
  const handedOver = new Set<string>()
  const lives = (other: string): boolean => !handedOver.has(other) && ownerLives(other)
  const boot = settings.read('kernel/random/boot_id')
  const table = new KernelTable(nft, owner, boot ?? '', {
    lives: (other) => other === owner || lives(other),
    now: () => clock.now(),
  })
  const guard = new Guard(host.runner, nft, owner, () => void repair(() => ground.guardLost()))
  /** By serial. */
  const leases = new Map<number, KernelLease>()
  const hasRules = (): boolean => leases.size > 0
  const ground = new Sysctls({ settings, table, guard, hasRules })
  const { others = new Others(host.runner, clock), ports = new Ports() } = options
  const offloading = new FlowOffloading(clock)
  const watch = new ConntrackPoll(host.runner, clock, offloading)
  /** Dead owners whose things are out, with the switches that were theirs. */
  const swept = new Map<string, ReadonlySet<string>>()
  /** One reading of the state folder's mark serves thousands of rules. */
  let mark: Promise<string> | null = null
  async function originOf(record: Recorder): Promise<Origin | null> {
    if (!record.mark) return null
    mark ??= record.mark()
    mark.catch(() => (mark = null))
    return { namespace: pidNamespace(), mark: await mark }
  }
  let serial = 0
  /** No rule is opened any more. */
  let isOver = false
  let lookingAround: Disposable | null = null
  /** Of an engine that was abandoned: nothing of its process stands once it is closed. */
  let left: Promise<unknown> = Promise.resolve()

  const alarm = new NetlinkMonitor(host.runner, clock, {
    tableLost: () => void repair(() => ground.tableLost()),
    linksChanged: () => void repair(() => ground.recheck(), { whole: false }),
  })
  let repairing: Promise<void> = Promise.resolve()

  /** What somebody took away is put back as soon as it is known; `verify` finds what could not be. */
  function repair(first: () => void | Promise<void>, { whole = true } = {}): Promise<void> {
    if (leases.size === 0) return repairing
    // Before anything is waited for: without its guard the machine has to be closed at once.
    const told = first()
    const run = async (): Promise<void> => {
      await told
      if (leases.size === 0) return
      const families = new Set([...leases.values()].map(({ family }) => family))
      for (const family of families) await ground.prepare(family)
      const signal = withLimit(undefined, 30_000)
      if (whole) await Promise.all([...leases.values()].map((lease) => lease.repair(signal)))
      if (whole) await table.sweep(isForgotten)
    }
    repairing = repairing.then(run).catch(() => {})
    return repairing
  }

  /** Of this very process, and of no rule that it has: a saved ruleset brought it back. */
  const isForgotten = (tag: ElementTag): boolean => tag.owner === owner && !leases.has(tag.serial)
  async function onLeft(left: number): Promise<void> {
    leases.delete(left)
    if (leases.size > 0) return
    stopLooking()
    await alarm.stop()
    await ground.leave()
  }
  const standing = { table, ground, watch, offloading, settings }
  const machine = new EngineContext({ host, clock, ...standing, isForgotten, onLeft })

  /** Somebody may filter by now who did not when a rule was opened. */
  async function lookAround(): Promise<void> {
    // A look that fails is no news; the next one tells.
    const why = await others.ask().catch(() => null)
    if (why) for (const lease of leases.values()) lease.unfit(why)
    else for (const lease of leases.values()) await lease.lookAtBridges()
    // What another Naru has switched on since is to stay guarded here once that one has ended, also at a flush.
    if (await table.hasMoreNotes().catch(() => false)) await repair(() => ground.recheck(), { whole: false })
  }
  function stopLooking(): void {
    lookingAround?.[Symbol.dispose]()
    lookingAround = null
  }

  return {
    id: 'kernel',
    adopts: true,
    keepsEnd: true,
    opensTogether: true,
    supports,
    obstacle: obstacleOn(others, () => machine.interfaces(), machine.bridges),
    async open(request, { signal, record }) {
      const { rule } = request
      const { listen } = rule
      if (rule.targets.some(({ to }) => targetsItself(listen, to)))
        throw new NaruError('TARGET_LOOP', { name: rule.name, listen: formatListen(listen) })
      const why = noOfPath(rule) ?? (await noOfMachineNow(others, 'askAnew'))
      if (why || listen.kind !== 'inet') throw unfit(rule, why ?? verbatim(''))
      const family = listenFamily(listen)
      const holding = await takePorts(listen, machine, () => ports.hold(listen, request.inherit))
      let origin: Origin | null = null
      const effect = await Promise.resolve()
        .then(async () => {
          const was = await ground.oldValues(family)
          origin = await originOf(record)
          const told = origin && formatCarried(owner, origin.mark)
          return record.intend({ owner, rule: rule.name, was, boot, tag: told } satisfies KernelEffect)
        })
        .catch((error: unknown) => {
          holding[Symbol.dispose]()
          throw error
        })
      const tag = { owner, serial: serial++, rule: rule.name, origin }
      if (isOver) {
        holding[Symbol.dispose]()
        await effect.undone()
        throw new NaruError('ABORTED', { what: rule.name })
      }
      const lease = new KernelLease(machine, request, tag, effect, holding)
      leases.set(tag.serial, lease)
      try {
        alarm.listen()
        await ground.prepare(family)
        await lease.start(signal)
        lookingAround ??= clock.every(lookAroundEveryMs, () => void lookAround())
      } catch (error) {
        await lease.release()
        throw error
      }
      return lease
    },
    async undo(effect) {
      const { owner: whose, was: told, boot: then } = effect as KernelEffect
      const was = then === boot ? told : {}
      if (whose === owner || lives(whose)) return
      // Thousands of entries of one dead owner are one sweep.
      const done = swept.get(whose)
      if (done && Object.keys(was).every((key) => done.has(key))) return
      swept.set(whose, new Set([...(done ?? []), ...Object.keys(was)]))
      ground.remember(was)
      if (!done) {
        await table.sweep((tag) => tag.owner === whose)
      }
      if (!hasRules()) await ground.leave()
      else await repair(() => {}, { whole: false })
    },
    carried: () => carriedIn(table, owner),
    succeed: (pid) => void handedOver.add(thisOwner(pid)),
    async close() {
      isOver = true
      await Promise.all([...leases.values()].map((lease) => lease.release()))
      stopLooking()
      watch.stop()
      await alarm.stop()
      await left
    },
    abandon() {
      isOver = true
      for (const lease of leases.values()) lease.abandon()
      leases.clear()
      stopLooking()
      watch.stop()
      left = Promise.all([alarm.stop(), ground.abandon()])
      left.catch(() => {})
    },
  }
}

/**
 * NAT goes before sockets: a program that listens here would be cut off without a word. The system itself tells of each
 * port that can be held; of the others its list of sockets does.
 * @throws NaruError LISTEN_…
 */
async function takePorts(
  listen: InetListen,
  machine: EngineContext,
  hold: () => HeldPorts,
): Promise<HeldPorts> {
  await refuseNoAddress(listen, machine)
  const tryAgain = async (error: unknown): Promise<HeldPorts> => {
    // By name, where it can be seen; an engine's own sockets of a moment ago are gone by now.
    if (errnoOf(error) === 'EADDRINUSE') await refuseTaken(listen, machine, null)
    return hold()
  }
  const label = formatListen(listen)
  const holding = await Promise.resolve()
    .then(hold)
    .catch(tryAgain)
    .catch(async (error: unknown) => {
      throw await listenError(error, label, () => Promise.resolve(null))
    })
  try {
    await refuseTaken(listen, machine, holding)
    return holding
  } catch (error) {
    holding[Symbol.dispose]()
    throw error
  }
}

const addressOf = (listen: InetListen): string | null => (isAnyAddress(listen) ? null : listen.address)

/** One look serves all who open at the same time; an address that it does not show may have come since. */
async function refuseNoAddress(listen: InetListen, machine: EngineContext): Promise<void> {
  const address = addressOf(listen)
  const asked = machine.clock.monotonic()
  const isOwn = async (since?: number): Promise<boolean> =>
    (await machine.interfaces(since)).some(({ addresses }) =>
      addresses.some((own) => own.address === address),
    )
  if (address !== null && !(await isOwn()) && !(await isOwn(asked)))
    throw new NaruError('LISTEN_NO_ADDRESS', { listen: formatListen(listen) })
}

/** Likewise: what a look shows taken may be free by now. */
async function refuseTaken(
  listen: InetListen,
  machine: EngineContext,
  held: HeldPorts | null,
): Promise<void> {
  if (held?.isWhole) return
  const asked = machine.clock.monotonic()
  const family = listenFamily(listen)
  const holder = async (since?: number): Promise<SocketEntry | undefined> =>
    (await machine.sockets(since)).find(
      (socket) =>
        socket.state === 'listening' &&
        listen.protocols.includes(socket.protocol) &&
        !held?.has(socket.protocol, socket.port) &&
        portsOverlap({ first: socket.port, last: socket.port }, listen.ports) &&
        meets(socket.address, addressOf(listen), family),
    )
  const taken = (await holder()) && (await holder(asked))
  if (!taken) return
  const by = taken.process ? `${taken.process.name} (pid ${taken.process.pid})` : 'another program'
  throw new NaruError('LISTEN_IN_USE', { listen: formatListen(listen), owner: notUs(by) })
}

/** An IPv6 wildcard may take IPv4 too. */
function meets(bound: string, wanted: string | null, family: 4 | 6): boolean {
  if (bound === '::' || bound === '0.0.0.0') return bound === '::' || family === 4
  return familyOf(bound) === family && (wanted === null || wanted === bound)
}
