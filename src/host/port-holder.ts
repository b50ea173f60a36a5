/** How the holder of a port is named to people. */
import { visible } from '../base/visible.ts'
import type { SocketEntry } from './contract.ts'

/** `nginx (pid 812)`, several with commas; null where none can be seen. */
export function holderText(processes: readonly SocketEntry['process'][]): string | null {
  const named = processes.flatMap((process) =>
    process ? [`${visible(process.name)} (pid ${process.pid})`] : [],
  )
  return named.length > 0 ? [...new Set(named)].join(', ') : null
}
