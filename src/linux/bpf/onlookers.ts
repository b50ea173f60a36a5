/**
 * Who else has a say in packets on their way through this machine: filters, routing rules, IPsec, programs. What the kernel
 * carries past conntrack and past sockets passes by them too, so it is not carried where there are any. A plain answer on
 * purpose: any rule of somebody else's counts, whatever it says, and a chain that is empty and lets everything pass does
 * not. All of it is asked of the kernel itself (netlink), in less than a millisecond, so that it can be asked often.
 */
import { readFileSync } from 'node:fs'
import { EAFNOSUPPORT, EINVAL, ENOENT, EOPNOTSUPP, familyInet, familyInet6 } from '../libc.ts'
import { isOurChain, keepRule } from '../own-names.ts'
import { Calls } from './calls.ts'
import { attributesIn, Netlink, type Told } from './netlink.ts'
import { programsOnSockets } from './own-group.ts'
import { name as ourProgram } from './program.ts'

/** Which part the owner of a flow plays. */
export type Role = 'relay' | 'router'

/** How long an answer holds, ms: a change is seen sooner than it is seen that it is gone. */
const freshMs = { none: 400, some: 3000 } as const

const mostNamed = 1024

/** What this kernel was built without is nobody. */
const notHere: readonly number[] = [-EINVAL, -EOPNOTSUPP, -EAFNOSUPPORT]

export class Onlookers {
  readonly #filters = new Netlink('netfilter')
  readonly #routes = new Netlink('route')
  readonly #transforms = new Netlink('transform')
  readonly #calls = new Calls()
  readonly #ours: readonly number[]
  /** By number, which the kernel gives anew only once all others were given: whether it is another Naru's. */
  readonly #named = new Map<number, boolean>()
  readonly #kept = new Map<Role, { any: boolean; at: number }>()
  /** Devices where somebody filters what comes in; null where it cannot be told. */
  #policed: ReadonlySet<number> | null = null

  /** @param ours programs on devices that are no onlookers, by their numbers. */
  constructor(ours: readonly number[]) {
    this.#ours = ours
  }

  /** @param devices what comes in by them is carried. @returns true also where it cannot be told. */
  any(as: Role, devices: Iterable<number>, nowMs: number): boolean {
    const kept = this.#kept.get(as)
    const isFresh = kept && nowMs - kept.at < freshMs[kept.any ? 'some' : 'none']
    const any = isFresh ? kept.any : this.#ask(as)
    if (!isFresh) this.#kept.set(as, { any, at: nowMs })
    return any || [...devices].some((device) => (this.#policed?.has(device) ?? true) || this.#follows(device))
  }

  close(): void {
    for (const netlink of [this.#filters, this.#routes, this.#transforms]) netlink.close()
  }

  #ask(as: Role): boolean {
    this.#policed = this.#devices()
    const onSockets = as === 'relay' && programsOnSockets() !== 'none'
    return this.#rules() || this.#policies() || this.#chains(as) || legacy() || onSockets
  }

  /** Routing rules that not every Linux has: fib_rules.h. */
  #rules(): boolean {
    const told = twice(() => this.#routes.list(ask.rules, new Uint8Array(12)))
    return typeof told === 'number'
      ? !notHere.includes(told)
      : told.some((rule) => isIp(rule) && !isUsual(rule))
  }

  /** IPsec: whether a packet is wrapped is decided on the way that is left out (xfrm.h). */
  #policies(): boolean {
    if (this.#transforms.absent) return false
    const told = this.#transforms.ask(ask.policies, new Uint8Array(4), [])
    const counts = told?.attributes.get(policyCounts)
    return !counts || counts.subarray(0, 3 * 4).some((byte) => byte !== 0)
  }

  /** nftables, and iptables over it: nf_tables.h. */
  #chains(as: Role): boolean {
    if (this.#filters.absent) return false
    const told = twice(() => this.#filters.list(ask.chains, new Uint8Array(4)))
    return typeof told === 'number' ? !notHere.includes(told) : told.some((chain) => hasSay(chain, as))
  }

  /** Those before ours see what ours see. */
  #follows(device: number): boolean {
    const programs = this.#calls.onDevice(device)
    if (typeof programs === 'number') return programs !== -ENOENT
    const last = programs.findLastIndex((program) => this.#ours.includes(program))
    return last !== -1 && programs.slice(last + 1).some((program) => !this.#isAnotherNarus(program))
  }

  /** That one touches the flows of its own owner alone, and what is carried past it is none of those. */
  #isAnotherNarus(program: number): boolean {
    const known = this.#named.get(program)
    if (known !== undefined) return known
    if (this.#named.size >= mostNamed) this.#named.clear()
    const is = this.#calls.nameOf(program) === ourProgram
    this.#named.set(program, is)
    return is
  }

  /** Classic filters on what comes in run after ours (tc-bpf(8)): they hang on a queue that stands for it. */
  #devices(): ReadonlySet<number> | null {
    const told = twice(() => this.#routes.list(ask.queues, new Uint8Array(20)))
    if (typeof told === 'number') return notHere.includes(told) ? new Set() : null
    // struct tcmsg: the device's number in bytes 4 to 7, whose child it is in 12 to 15.
    const word = ({ body }: Told, at: number): number => wordIn(body.subarray(at, at + 4), true)
    return new Set(told.filter((queue) => word(queue, 12) === ingress).map((queue) => word(queue, 4)))
  }
}

/** What changes while it is told is asked for once more. */
function twice(ask: () => readonly Told[] | number): readonly Told[] | number {
  const first = ask()
  return typeof first === 'number' && !notHere.includes(first) ? ask() : first
}

/** RTM_GETRULE, RTM_GETQDISC, XFRM_MSG_GETSPDINFO and NFT_MSG_GETCHAIN. */
const ask = { rules: 34, queues: 38, policies: 0x25, chains: 0x0a04 } as const
/** TC_H_INGRESS, which clsact has too. */
const ingress = 0xffff_fff1
/** XFRMA_SPD_INFO: counts of policies in, out and forward come first. */
const policyCounts = 1

// ── routing rules ───────────────────────────────────────────────────────────────────────────────────────────────

/** FRA_PRIORITY and FRA_TABLE, and those that choose nothing: FRA_SUPPRESS_PREFIXLEN (none), FRA_PROTOCOL. */
const rule = { mark: 10, priority: 6, table: 15, none: 14, by: 21 } as const
/** By priority, the table that it leads to: local, main, default. */
const usual: Readonly<Record<number, number>> = { 0: 255, 32_766: 254, 32_767: 253 }

const isIp = ({ body }: Told): boolean => body[0] === familyInet || body[0] === familyInet6

function isUsual({ body, attributes }: Told): boolean {
  const word = (kind: number): number => wordIn(attributes.get(kind), true)
  const [priority, table] = [word(rule.priority), word(rule.table)]
  const isKeeps = priority === keepRule.priority && table >>> 24 === keepRule.firstByte
  if (isKeeps && attributes.has(rule.mark)) return true
  const bare = (kind: number): boolean =>
    kind === rule.priority ||
    kind === rule.table ||
    kind === rule.by ||
    (kind === rule.none && word(kind) === 0xffff_ffff)
  // Lengths of destination and source, and the type of service; its action in byte 7 is FR_ACT_TO_TBL.
  const asksNothing = body[1] === 0 && body[2] === 0 && body[3] === 0 && body[7] === 1
  return asksNothing && [...attributes.keys()].every(bare) && usual[priority] === table
}

// ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────────

const chain = { table: 1, name: 3, hook: 4, policy: 5, rules: 6, kind: 7 } as const
const hookNumber = 1
/** NFPROTO_INET, _IPV4, _NETDEV and _IPV6: ARP and bridges are passed by as before. */
const families: readonly number[] = [1, 2, 5, 10]
const inet = 1
const netdev = 5
const accept = 1
/** Where packets come by: before routing 0, to us 1, forwarded 2, from us 3, after routing 4, as they arrive 5. */
const hooks: Readonly<Record<Role, readonly number[]>> = { relay: [0, 1, 3, 4, 5], router: [0, 2, 4, 5] }

/**
 * A base chain of somebody else's on the way that has a rule, or drops. Those of type nat see the first packet alone: what
 * became of that conntrack tells (conntrack.ts). What leaves by a device (egress) is seen there as before.
 */
function hasSay({ body, attributes }: Told, as: Role): boolean {
  const hook = attributes.get(chain.hook)
  const family = body[0] as number
  if (!hook || !families.includes(family) || textIn(attributes.get(chain.kind)) === 'nat') return false
  const [table, name] = [chain.table, chain.name].map((kind) => textIn(attributes.get(kind)))
  if (family === inet && isOurChain({ family: 'inet', table: table ?? '', name: name ?? '' })) return false
  const number = wordIn(attributesIn(hook).get(hookNumber), false)
  const onWay = family === netdev ? number === 0 : hooks[as].includes(number)
  const idle = wordIn(attributes.get(chain.rules), false) === 0
  return onWay && !(idle && wordIn(attributes.get(chain.policy), false) === accept)
}

/** iptables-legacy, whose tables are there once they were asked for. */
function legacy(): boolean {
  return ['ip', 'ip6'].some((family) => {
    try {
      return /^(filter|mangle|raw|security)$/m.test(readFileSync(`/proc/net/${family}_tables_names`, 'utf8'))
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'ENOENT'
    }
  })
}

function wordIn(bytes: Uint8Array | undefined, little: boolean): number {
  return bytes?.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, little) : 0
}

const textIn = (bytes: Uint8Array | undefined): string =>
  Buffer.from(bytes ?? [])
    .toString()
    .replace(/\0.*$/s, '')
