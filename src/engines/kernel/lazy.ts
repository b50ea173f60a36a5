/**
 * The `kernel` engine as everyone sees it: whether it can is known at once, how it does so is loaded when it is asked
 * to. A start that another engine carries is shorter by that.
 */
import { withLimit } from '../../base/clock.ts'
import { Others } from '../../host/simulate/index.ts'
import type { MakeEngine } from '../contract.ts'
import type { KernelEngine } from './index.ts'
import { Bridges } from './bridges.ts'
import { fresh } from './lately.ts'
import { createSettings } from './proc-sys.ts'
import { obstacleOn, supports } from './supports.ts'

export const makeKernelEngine: MakeEngine = ({ host, clock }) => {
  let engine: KernelEngine | null = null
  const others = new Others(host.runner, clock)
  const interfaces = fresh(clock, () => host.network.interfaces({ signal: withLimit(undefined, 30_000) }))
  const bridges = new Bridges(host, { clock, settings: createSettings(), interfaces })
  /** Processes that hand over, told before there was an engine to tell. */
  const before: number[] = []
  async function loaded(): Promise<KernelEngine> {
    const { createKernelEngine } = await import('./index.ts')
    if (engine) return engine
    engine = createKernelEngine({ host, clock, others })
    for (const pid of before) engine.succeed?.(pid)
    return engine
  }
  return {
    id: 'kernel',
    adopts: true,
    keepsEnd: true,
    opensTogether: true,
    supports,
    obstacle: obstacleOn(others, interfaces, bridges),
    open: async (...asked) => (await loaded()).open(...asked),
    undo: async (...asked) => (await loaded()).undo(...asked),
    carried: async (...asked) => (await loaded()).carried?.(...asked) ?? [],
    succeed(pid) {
      before.push(pid)
      engine?.succeed?.(pid)
    },
    close: async () => engine?.close(),
    abandon: () => engine?.abandon(),
  }
}
