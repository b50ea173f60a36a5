/**
 * `source: keep` in user space (TPROXY): the target sees the client's address, and its answers to that address are
 * caught here. A table of our own marks packets for which this machine has a transparent socket, and a rule and a
 * route of our own deliver what is marked to this machine (kernel: Documentation/networking/tproxy.rst). All of it is
 * named after this process and its namespace, so that several Narus, in containers on one network too, are not in each
 * other's way, and goes with the last rule.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withLimit } from '../../../base/clock.ts'
import { temporaryPlace } from '../../../base/trust.ts'
import { NaruError } from '../../../base/errors.ts'
import { say, type Text } from '../../../base/text.ts'
import type { Runner } from '../../../host/contract.ts'
import { keepRule } from '../../../linux/own-names.ts'
import { ownerLives, pidNamespace, thisOwner } from '../../../linux/process-identity.ts'
import { mayAdministerNetwork, type Facts } from '../../../model/facts.ts'
import type { Json, Recorder } from '../../../model/hop.ts'
import type { Rule } from '../../../model/rule.ts'
import { canonicalAddress, familyOf } from '../../../base/address.ts'

const tablePrefix = 'naru_keep_'
/** Naru's own, as its port is: rules of one priority are asked in turn. */
const rulePriority = String(keepRule.priority)
const limitMs = 10_000

/** Null where this machine and this process can do it for that rule. */
export function whyNoTproxy({ listen, targets }: Rule, facts: Facts): Text | null {
  if (!mayAdministerNetwork(facts)) return say('keeping the client’s address needs root or CAP_NET_ADMIN')
  for (const tool of ['nft', 'ip']) if (!facts.tools[tool]) return say`${tool} is not installed`
  if (listen.kind === 'unix' || targets.some(({ to }) => to.kind === 'unix'))
    return say('Unix sockets have no client address')
  for (const { to } of targets) {
    const address = to.kind === 'inet' ? canonicalAddress(to.host) : null
    if (address === null) continue
    if (address.startsWith('127.') || address === '::1')
      return say('a target on loopback cannot answer a client elsewhere')
    if (listen.address === null || familyOf(listen.address) !== familyOf(address))
      return say(
        'a target sees clients of its own family only; listen on 0.0.0.0 for IPv4 or on [::] for IPv6',
      )
  }
  return null
}

export class TproxyRules {
  readonly #runner: Runner
  readonly #owner: string
  #held = 0
  #turn: Promise<void> = Promise.resolve()

  constructor(runner: Runner, owner: string = `${thisOwner()}-${pidNamespace()}`) {
    this.#runner = runner
    this.#owner = owner
  }

  /** Ready for one more rule. @returns what is called when its last connection has ended */
  async hold({ record, signal }: { record: Recorder; signal: AbortSignal }): Promise<() => Promise<void>> {
    const effect = await record.intend({ keep: this.#owner })
    const drop = (): Promise<void> =>
      this.#inTurn(async () => {
        if (--this.#held === 0) await this.#takeAway(this.#owner)
        await effect.undone()
      })
    await this.#inTurn(async () => {
      this.#held++
      if (this.#held === 1) await this.#place(signal)
    }).catch(async (error: unknown) => {
      await drop()
      throw error
    })
    return drop
  }

  /**
   * What a dead process left; one that lives still carries connections by it. The journal that tells of one in another
   * namespace is ours by now, so that one is gone.
   */
  async undo(effect: Json): Promise<void> {
    const owner = (effect as { keep?: unknown } | null)?.keep
    if (typeof owner !== 'string' || !/^\d+-\d+-\d+$/.test(owner)) return
    if (!isOfThisNamespace(owner) || !ownerLives(owner)) await this.#takeAway(owner)
  }

  /** Resolves once nothing is under way. */
  settled(): Promise<void> {
    return this.#turn.catch(() => {})
  }

  async #place(signal: AbortSignal): Promise<void> {
    await this.#sweep(signal)
    const { table, mark, route } = namesOf(this.#owner)
    await this.#nft(
      `table inet ${table} {
  chain answers {
    type filter hook prerouting priority mangle; policy accept;
    meta l4proto { tcp, udp } socket transparent 1 meta mark set ${mark}
  }
}
`,
      signal,
    )
    for (const family of families()) {
      await this.#must(
        ['ip', family, 'rule', 'add', 'fwmark', mark, 'lookup', route, 'priority', rulePriority],
        signal,
      )
      await this.#must(
        ['ip', family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', route],
        signal,
      )
    }
  }

  async #takeAway(owner: string): Promise<void> {
    const signal = withLimit(undefined, limitMs)
    const { table, mark, route } = namesOf(owner)
    const gone = [
      ...families().flatMap((family): [string, ...string[]][] => [
        ['ip', family, 'rule', 'del', 'fwmark', mark, 'lookup', route, 'priority', rulePriority],
        ['ip', family, 'route', 'flush', 'table', route],
      ]),
      ['nft', 'delete', 'table', 'inet', table] satisfies [string, ...string[]],
    ]
    // What is not there is gone already.
    for (const argv of gone) await this.#runner.run(argv, { signal, limitMs })
  }

  /** What processes left whose journal another one had taken over by then. Who lives in another namespace cannot be seen. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const { stdout } = await this.#runner.run(['nft', 'list', 'tables', 'inet'], { signal, limitMs })
    for (const [, name = ''] of stdout.matchAll(/\bnaru_keep_(\d+_\d+_\d+)\b/g)) {
      const owner = name.replaceAll('_', '-')
      if (owner === this.#owner || (isOfThisNamespace(owner) && !ownerLives(owner)))
        await this.#takeAway(owner)
    }
  }

  /** nft opens its input by name, and a child's standard input is a socket, which cannot be opened so. */
  async #nft(text: string, signal: AbortSignal): Promise<void> {
    const folder = await mkdtemp(join(temporaryPlace(), 'naru-keep-'))
    try {
      const file = join(folder, 'table.nft')
      await writeFile(file, text, { mode: 0o600 })
      await this.#must(['nft', '-f', file], signal)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  async #must(argv: [string, ...string[]], signal: AbortSignal): Promise<void> {
    const { exit, stderr } = await this.#runner.run(argv, { signal, limitMs })
    if (exit === 0) return
    throw new NaruError('COMMAND_FAILED', {
      command: argv.join(' '),
      exit,
      stderr: stderr.trim().slice(0, 500),
    })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const next = this.#turn.catch(() => {}).then(work)
    this.#turn = next
    return next
  }
}

const isOfThisNamespace = (owner: string): boolean => owner.endsWith(`-${pidNamespace()}`)

/** The mark and the routing table are one number: `keepRule`. */
function namesOf(owner: string): { table: string; mark: string; route: string } {
  const number = keepRule.firstByte * 2 ** 24 + createHash('sha256').update(owner).digest().readUIntBE(0, 3)
  return {
    table: `${tablePrefix}${owner.replaceAll('-', '_')}`,
    mark: `0x${number.toString(16)}`,
    route: String(number),
  }
}

function families(): string[] {
  return existsSync('/proc/net/if_inet6') ? ['-4', '-6'] : ['-4']
}
