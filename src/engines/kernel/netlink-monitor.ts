/**
 * Hears of what others do to what we stand on, as it happens: our table deleted or flushed away, an interface that
 * comes, a switch that is turned. The kernel tells it over netlink (NFNLGRP_NFTABLES, RTNLGRP_LINK, RTNLGRP_IPV4_NETCONF);
 * nft(8) and ip-monitor(8) put it into words. Where one of them ends it is started again; what was missed meanwhile is
 * found by the next `verify`.
 */
import type { Clock } from '../../base/clock.ts'
import type { HeldCommand, Runner } from '../../host/contract.ts'
import { tableName } from './base-table.ts'

const againMs = 1000
/** A link comes in several messages; what it calls for is done once. */
const settleMs = 20

export interface Alarms {
  /** Our table is gone. Called at once. */
  readonly tableLost: () => void
  /** An interface came, or somebody turned a forwarding switch. */
  readonly linksChanged: () => void
}

export class NetlinkMonitor {
  readonly #runner: Runner
  readonly #clock: Clock
  readonly #alarms: Alarms
  readonly #held = new Set<HeldCommand>()
  #timers: Disposable[] = []
  #settling: Disposable | null = null
  #listening = false

  constructor(runner: Runner, clock: Clock, alarms: Alarms) {
    this.#runner = runner
    this.#clock = clock
    this.#alarms = alarms
  }

  listen(): void {
    if (this.#listening) return
    this.#listening = true
    this.#hold(['nft', 'monitor', 'destroy', 'tables'], (line) => {
      if (isTableLoss(line)) this.#alarms.tableLost()
    })
    this.#hold(['ip', '-o', 'monitor', 'link', 'netconf'], (line) => {
      if (isLinkChange(line)) this.#linksSoon()
    })
  }

  async stop(): Promise<void> {
    this.#listening = false
    this.#settling?.[Symbol.dispose]()
    this.#settling = null
    for (const timer of this.#timers.splice(0)) timer[Symbol.dispose]()
    const held = [...this.#held]
    this.#held.clear()
    await Promise.all(held.map((command) => command.end()))
  }

  #hold(argv: [string, ...string[]], onLine: (line: string) => void): void {
    const command = this.#runner.hold(argv, {
      onLine: (line) => this.#listening && onLine(line),
      onEnd: () => {
        this.#held.delete(command)
        if (this.#listening)
          this.#timers = [
            ...this.#timers.slice(-3),
            this.#clock.after(againMs, () => this.#hold(argv, onLine)),
          ]
      },
    })
    this.#held.add(command)
  }

  #linksSoon(): void {
    this.#settling ??= this.#clock.after(settleMs, () => {
      this.#settling = null
      this.#alarms.linksChanged()
    })
  }
}

export const isTableLoss = (line: string): boolean => line.trim() === `delete table inet ${tableName}`

/** `3: wg0: <…`, `inet wg0 forwarding on …`; what goes calls for nothing. */
export const isLinkChange = (line: string): boolean =>
  /^\d+: /.test(line) || /^inet6? \S+ .*\bforwarding (on|off)/.test(line)
